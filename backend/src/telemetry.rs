//! The log, and traces for OpenTelemetry where its own variables name a collector. Spans bear routes, counts and ids, and nothing that
//! a client or a file wrote.

use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry::trace::{TraceContextExt, TracerProvider};
use opentelemetry_otlp::SpanExporter;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::Span;
use tracing::level_filters::LevelFilter;
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::filter::{FilterFn, filter_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

/// Traces under way; dropped, it sends what is left.
#[derive(Debug)]
pub struct Traces(SdkTracerProvider);

impl Drop for Traces {
    fn drop(&mut self) {
        if let Err(error) = self.0.shutdown() {
            tracing::warn!(%error, "the last traces could not be sent");
        }
    }
}

/// Whether a variable of OpenTelemetry names a collector. <https://opentelemetry.io/docs/specs/otel/protocol/exporter/>
fn is_wanted() -> bool {
    let named = |name: &str| std::env::var(name).is_ok_and(|value| !value.is_empty());
    let off = std::env::var("OTEL_SDK_DISABLED").is_ok_and(|value| value.eq_ignore_ascii_case("true"));
    !off && (named("OTEL_EXPORTER_OTLP_ENDPOINT") || named("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"))
}

/// Begins the log, and traces where they are wanted.
///
/// # Errors
/// What is wrong with the variables that say where traces go.
pub fn start() -> Result<Option<Traces>, String> {
    let filter = EnvFilter::try_from_env("AFFIANT_LOG")
        .unwrap_or_else(|_| EnvFilter::new("warn,affiant=info,opentelemetry=off"));
    let log = tracing_subscriber::fmt::layer()
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .with_writer(std::io::stderr);
    let log = if std::env::var("AFFIANT_LOG_FORMAT").is_ok_and(|format| format == "json") {
        log.json().with_current_span(false).with_span_list(false).boxed()
    } else {
        log.with_target(false).boxed()
    };
    // The log tells events; spans are for traces.
    let log = log.with_filter(filter).with_filter(filter_fn(|about| about.is_event()));
    let subscriber = tracing_subscriber::registry().with(log);
    if !is_wanted() {
        subscriber.init();
        return Ok(None);
    }
    let exporter = SpanExporter::builder().with_http().build();
    let exporter = exporter
        .map_err(|error| format!("traces cannot be sent as the variables OTEL_EXPORTER_OTLP_… say: {error}"))?;
    let mut resource = Resource::builder();
    if std::env::var("OTEL_SERVICE_NAME").is_err() {
        resource = resource.with_service_name("affiant");
    }
    let provider = SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_resource(resource.build())
        .build();
    let spans: FilterFn = filter_fn(|about| about.is_span() && about.target().starts_with("affiant"));
    let traces = tracing_opentelemetry::layer()
        .with_tracer(provider.tracer("affiant"))
        .with_location(false)
        .with_threads(false)
        .with_filter(LevelFilter::INFO)
        .with_filter(spans);
    subscriber.with(traces).init();
    Ok(Some(Traces(provider)))
}

/// Headers of a request, for the trace to which it belongs.
struct Headers<'h>(&'h actix_web::http::header::HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(|name| name.as_str()).collect()
    }
}

/// Lets a span belong to the trace that a client tells (W3C Trace Context).
pub fn follow(span: &Span, headers: &actix_web::http::header::HeaderMap) {
    if headers.contains_key("traceparent") {
        // Where traces are off there is nothing to belong to.
        let _ = span.set_parent(TraceContextPropagator::new().extract(&Headers(headers)));
    }
}

/// Names a span once it is known what it was.
pub fn name(span: &Span, name: String) {
    span.context().span().update_name(name);
}
