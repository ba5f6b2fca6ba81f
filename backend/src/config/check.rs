//! What a configuration as a whole must hold to.

use super::file::{Config, Mistake, Provider, Workload};
use std::collections::BTreeSet;

/// Names every mistake.
pub(super) fn check(config: &Config, mistakes: &mut Vec<Mistake>) {
    let mut wrong = |at: String, what: &str| {
        mistakes.push(Mistake {
            at,
            what: what.to_owned(),
        });
    };
    let url = &config.server.public_url;
    if !url.is_empty() && !is_web(url) {
        wrong(
            "server.public_url".to_owned(),
            "an address that begins with https:// (or http:// for trying out)",
        );
    }
    let server = &config.server;
    if server.tls_certificate.is_empty() != server.tls_key.is_empty() {
        wrong("server.tls_key".to_owned(), "tls_certificate and tls_key go together");
    } else if !server.tls_certificate.is_empty() {
        if let Err(what) = super::tls::load(server) {
            wrong("server.tls_certificate".to_owned(), &what);
        }
        if server.public_url.starts_with("http://") {
            wrong("server.public_url".to_owned(), "with TLS it begins with https://");
        }
    }
    let is_of_use = !server.tls_certificate.is_empty() || server.client_cert_header;
    if !server.tls_client_authorities.is_empty() && !is_of_use {
        wrong(
            "server.tls_client_authorities".to_owned(),
            "only with tls_certificate, or with client_cert_header for a proxy that tells by Client-Cert (RFC 9440)",
        );
    }
    if server.client_cert_header {
        if server.tls_client_authorities.is_empty() || server.trusted_proxies.is_empty() {
            wrong(
                "server.client_cert_header".to_owned(),
                "only with trusted_proxies and tls_client_authorities: what a proxy tells is checked again",
            );
        } else if let Err(what) = super::tls::clients(&server.tls_client_authorities) {
            wrong("server.tls_client_authorities".to_owned(), &what);
        }
    }
    let limits = &config.limits;
    if limits.identity_per_second == 0 || limits.anonymous_per_second == 0 {
        wrong(
            "limits".to_owned(),
            "identity_per_second and anonymous_per_second are at least 1",
        );
    }
    let screening = &config.screening;
    if !screening.classifier_url.is_empty() && !is_web(&screening.classifier_url)
        || !config.server.development && screening.classifier_url.starts_with("http://")
    {
        wrong(
            "screening.classifier_url".to_owned(),
            "an address that begins with https://; http:// is for development = true",
        );
    }
    let token = &screening.classifier_token;
    if !token.is_empty() && !token.is_reference() && !config.server.development {
        wrong(
            "screening.classifier_token".to_owned(),
            "say where the secret is (env:NAME, file:PATH, vault:MOUNT/PATH#KEY, aws:NAME#KEY)",
        );
    }
    let checkpoints = &config.trail.checkpoint_url;
    if !checkpoints.is_empty() && !is_web(checkpoints)
        || !config.server.development && checkpoints.starts_with("http://")
    {
        wrong(
            "trail.checkpoint_url".to_owned(),
            "an address that begins with https://; http:// is for development = true",
        );
    }
    let folder = &config.trail.checkpoint_folder;
    if !folder.is_empty() && !std::path::Path::new(folder).is_dir() {
        wrong("trail.checkpoint_folder".to_owned(), "a folder that is there");
    }
    let witnesses = config.trail.witnesses();
    let is_good = |url: &str| url.starts_with("https://") || config.server.development && is_web(url);
    let named = config.trail.witnesses.iter().filter(|text| !text.trim().is_empty());
    if witnesses.len() != named.count() || !witnesses.iter().all(|(url, _)| is_good(url)) {
        wrong(
            "trail.witnesses".to_owned(),
            "each \"ADDRESS NAME+ID+KEY\": an address that begins with https:// (http:// is for development = true), a space, and the witness's key as C2SP writes it",
        );
    }
    let session = &config.session;
    if session.idle_seconds == 0 || session.renew_seconds == 0 {
        wrong("session".to_owned(), "idle_seconds and renew_seconds are at least 1");
    }
    if session.longest_seconds < session.idle_seconds || session.longest_seconds > 7 * 86_400 {
        wrong(
            "session.longest_seconds".to_owned(),
            "at least idle_seconds and at most a week (604800)",
        );
    }
    let mut names = BTreeSet::new();
    for (n, provider) in config.providers.iter().enumerate() {
        let mut wrong = |key: &str, what: &str| wrong(format!("provider[{n}].{key}"), what);
        check_provider(provider, config.server.development, &mut wrong);
        if !names.insert(&provider.name) {
            wrong("name", "two providers have this name");
        }
    }
    for (n, workload) in config.workloads.iter().enumerate() {
        let mut wrong = |key: &str, what: &str| wrong(format!("workload[{n}].{key}"), what);
        check_workload(workload, config.server.development, &mut wrong);
    }
}

fn check_workload(workload: &Workload, development: bool, wrong: &mut dyn FnMut(&str, &str)) {
    if !is_name(&workload.name) {
        wrong("name", NAME);
    }
    if !is_web(&workload.issuer) || !development && !is_safe(&workload.issuer) {
        wrong("issuer", "the issuer's address, https://, as its tokens name it");
    }
    if workload.audience.is_empty() {
        wrong("audience", "the audience that pipelines ask their tokens for");
    }
    if workload.rules.iter().any(|rule| rule.claims.is_empty()) {
        wrong("rules", "each rule names at least one claim");
    }
}

const NAME: &str = "at most 40 lower-case letters, digits and '-'";

fn is_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    !name.is_empty() && name.len() <= 40 && name.chars().all(plain)
}

fn check_provider(provider: &Provider, development: bool, wrong: &mut dyn FnMut(&str, &str)) {
    if !is_name(&provider.name) {
        wrong("name", NAME);
    }
    if !is_web(&provider.issuer) {
        wrong("issuer", "the provider's address, as it writes it itself");
    } else if !development && !is_safe(&provider.issuer) {
        wrong(
            "issuer",
            "an address that begins with https://; http:// is for development = true",
        );
    }
    if provider.directory_claim.is_empty()
        || matches!(provider.directory_claim.as_str(), "email" | "preferred_username")
    {
        let what =
            "sub, or another claim that is one person's for ever; an address or a name can pass to somebody else";
        wrong("directory_claim", what);
    }
    if provider.client_id.is_empty() {
        wrong("client_id", "the id that the provider knows this installation by");
    }
    if !provider.client_secret.is_empty() && !provider.client_secret.is_reference() && !development {
        wrong(
            "client_secret",
            "say where the secret is (env:NAME, file:PATH, vault:MOUNT/PATH#KEY, aws:NAME#KEY); in clear it is only for development = true",
        );
    }
}

fn is_web(url: &str) -> bool {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    rest.is_some_and(|rest| !rest.is_empty() && !rest.contains(char::is_whitespace))
}

fn is_safe(url: &str) -> bool {
    url.starts_with("https://") || is_loopback(url)
}

fn is_loopback(url: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let host = rest.split(['/', ':']).next().unwrap_or_default();
    host == "localhost" || host == "127.0.0.1"
}
