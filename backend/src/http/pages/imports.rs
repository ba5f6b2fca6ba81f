//! Uploads, and what came of them.

use super::{Chrome, check_csrf, minute, page};
use crate::auth::{In, Read, UploadScans};
use crate::flow::events;
use crate::flow::ingest::{ImportResult, Options, import};
use crate::http::api::scans::Import;
use crate::http::problem::Problem;
use crate::http::upload::{LIMIT, Received, receive};
use actix_multipart::Multipart;
use actix_web::{HttpResponse, get, post};
use affiant_ingest::{FileSource, Kind};
use askama::Template;
use futures::StreamExt;
use std::collections::HashMap;
use std::sync::Arc;

#[derive(Template)]
#[template(path = "pages/imports.html")]
struct Imports {
    chrome: Chrome,
    error: String,
    done: Option<ImportResult>,
    may_push: bool,
    formats: String,
    assets: Vec<String>,
    rows: Vec<Row>,
}

struct Row {
    received: String,
    asset: String,
    part: String,
    actor: String,
    result: ImportResult,
}

/// Bytes of a form field.
const FIELD: usize = 4096;

/// Shows the imports.
#[get("/p/{project}/imports")]
pub async fn show(at: In<Read>) -> Result<HttpResponse, Problem> {
    render(&at, None, String::new()).await
}

async fn render<P: crate::auth::Permission>(
    at: &In<P>,
    done: Option<ImportResult>,
    error: String,
) -> Result<HttpResponse, Problem> {
    let rows = at.scoped().imports(100).await?;
    page(&Imports {
        chrome: Chrome::new(&at.app, &at.principal, "Imports", &at.project.slug, "Imports").await?,
        error,
        done,
        may_push: at.may::<UploadScans>(),
        formats: at
            .app
            .formats
            .iter()
            .filter(|f| f.kind == Kind::Findings)
            .map(|f| f.title.clone())
            .collect::<Vec<_>>()
            .join(", "),
        assets: at.scoped().named_assets().await?.into_iter().map(|a| a.key).collect(),
        rows: rows
            .into_iter()
            .map(|(row, asset)| {
                let import = Import::new(row, asset)?;
                Ok(Row {
                    received: minute(import.received_at),
                    asset: import.asset,
                    part: import.part,
                    actor: import.actor,
                    result: import.result,
                })
            })
            .collect::<Result<_, Problem>>()?,
    })
}

/// Imports an uploaded file.
#[post("/p/{project}/imports")]
pub async fn upload(at: In<UploadScans>, form: Multipart) -> Result<HttpResponse, Problem> {
    let (fields, received) = parts(&at, form).await?;
    let field = |name: &str| fields.get(name).cloned().unwrap_or_default();
    let outcome = take(&at, &field, received).await;
    match outcome {
        Ok(result) => render(&at, Some(result), String::new()).await,
        Err(problem) if problem.status < 500 => render(&at, None, problem.detail).await,
        Err(problem) => Err(problem),
    }
}

async fn take(
    at: &In<UploadScans>,
    field: &impl Fn(&str) -> String,
    received: Option<Received>,
) -> Result<ImportResult, Problem> {
    let received = received.ok_or_else(|| Problem::invalid("file", "choose a file"))?;
    let source = Arc::new(FileSource(received.upload.path.clone()));
    let format = at
        .app
        .formats
        .recognise(source.as_ref(), None, &at.app.limits)
        .map_err(crate::flow::FlowError::from)?;
    if format.kind == Kind::Events {
        let options = events::Options {
            keyed: None,
            source: String::new(),
            asset: Some(field("asset")),
            format: Some(format.name.clone()),
        };
        let taken = events::ingest_source(&at.app, at.id(), source, (&options, events::PUSHED)).await?;
        let remark = format!("{} audit events read, {} of them new", taken.read, taken.created);
        let rejections = taken.rejections;
        return Ok(ImportResult {
            format: taken.format,
            rejected: taken.rejected,
            rejections,
            remarks: vec![remark],
            ..ImportResult::default()
        });
    }
    let options = Options {
        asset: field("asset"),
        part: field("part"),
        mode: field("mode"),
        format: None,
        scanned_at: None,
        dry_run: field("dry_run") == "true",
        confirm: field("confirm") == "true",
        actor: at.principal.name.clone(),
    };
    Ok(import(&at.app, at.id(), &received.upload, &options).await?)
}

/// The fields of the form; the secret comes first and is checked before the file is taken.
async fn parts(
    at: &In<UploadScans>,
    mut form: Multipart,
) -> Result<(HashMap<String, String>, Option<Received>), Problem> {
    let broken = |error: actix_multipart::MultipartError| Problem::invalid("form", error.to_string());
    let mut fields = HashMap::new();
    let mut received = None;
    while let Some(part) = form.next().await {
        let mut part = part.map_err(broken)?;
        let name = part.name().unwrap_or_default().to_owned();
        if name == "file" {
            check_csrf(&at.principal, fields.get("csrf").map_or("", String::as_str))?;
            received = Some(receive(&at.app, part, LIMIT).await?);
            continue;
        }
        let mut value = Vec::new();
        while let Some(chunk) = part.next().await {
            value.extend_from_slice(&chunk.map_err(broken)?);
            if value.len() > FIELD {
                return Err(Problem::new("too-large", format!("a field has at most {FIELD} bytes")));
            }
        }
        fields.insert(name, String::from_utf8_lossy(&value).replace('\0', ""));
    }
    check_csrf(&at.principal, fields.get("csrf").map_or("", String::as_str))?;
    Ok((fields, received))
}
