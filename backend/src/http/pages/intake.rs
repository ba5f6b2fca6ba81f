//! A form with which people ask for their rights without signing in. It says the same whatever is asked and of whomever, and takes a few
//! requests an hour from one address.

use super::small::Small;
use super::{Chrome, page};
use crate::app::Context;
use crate::flow::fulfil_request::receive;
use crate::http::limits::{address, wait};
use crate::http::problem::Problem;
use actix_web::{HttpRequest, HttpResponse, get, post, web};
use affiant_domain::request::Right;
use askama::Template;
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultDirectRateLimiter, DefaultKeyedRateLimiter, Quota};
use serde::Deserialize;
use std::net::IpAddr;
use std::num::NonZeroU32;

/// Who acts where nobody is signed in.
const ACTOR: &str = "intake";

/// Bounds on what comes by the form.
pub struct Intake {
    addresses: DefaultKeyedRateLimiter<IpAddr>,
    all: DefaultDirectRateLimiter,
}

impl std::fmt::Debug for Intake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Intake")
    }
}

impl Default for Intake {
    fn default() -> Self {
        let hourly = |count: u32| Quota::per_hour(NonZeroU32::new(count).unwrap_or(NonZeroU32::MIN));
        Self {
            addresses: DefaultKeyedRateLimiter::keyed(hourly(6)),
            all: DefaultDirectRateLimiter::direct(hourly(200)),
        }
    }
}

impl Intake {
    fn admit(&self, from: IpAddr) -> Result<(), Problem> {
        if self.addresses.len() > 10_000 {
            self.addresses.retain_recent();
        }
        let now = DefaultClock::default().now();
        self.addresses
            .check_key(&from)
            .map_err(|until| wait(until.wait_time_from(now)))?;
        self.all.check().map_err(|until| wait(until.wait_time_from(now)))
    }
}

#[derive(Template)]
#[template(path = "pages/intake.html")]
struct Form {
    chrome: Chrome,
    rights: Vec<(&'static str, &'static str)>,
    sent: bool,
}

fn form(sent: bool) -> Result<HttpResponse, Problem> {
    page(&Form {
        chrome: Chrome::bare("Your data"),
        rights: vec![
            ("access", "Tell me what you hold of me, and give me a copy"),
            ("portability", "Give me my data to take elsewhere"),
            ("rectification", "Put my data right"),
            ("erasure", "Erase my data"),
            ("restriction", "Set my data aside"),
            ("objection", "Stop using my data"),
        ],
        sent,
    })
}

fn of(app: &Context) -> Result<&Intake, Problem> {
    let off = || Problem::not_found("there is nothing at this address");
    app.intake.as_deref().ok_or_else(off)
}

/// Shows the form.
#[get("/your-data")]
pub async fn ask(app: web::Data<Context>) -> Result<HttpResponse, Problem> {
    of(&app)?;
    form(false)
}

/// What somebody asks for.
#[derive(Deserialize)]
pub struct Asked {
    right: String,
    identifier: String,
}

/// Takes a request in. Who asks is not known yet: that is made certain before anything is looked at.
#[post("/your-data")]
pub async fn take(request: HttpRequest, app: web::Data<Context>, asked: Small<Asked>) -> Result<HttpResponse, Problem> {
    let intake = of(&app)?;
    let peer = request.peer_addr().map(|peer| peer.ip());
    intake.admit(address(peer, request.headers(), &app.sign_in.trusted_proxies))?;
    let right = Right::parse(&asked.right).ok_or_else(|| Problem::invalid("right", "one of those on the page"))?;
    match receive(&app, right, &asked.identifier, app.clock.now(), ACTOR).await {
        // One that is there already is no news to whoever asks.
        Ok(_) => form(true),
        Err(error) => Err(error.into()),
    }
}
