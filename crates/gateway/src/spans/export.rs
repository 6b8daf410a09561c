//! Sends spans to an OpenTelemetry collector: OTLP over HTTP, as protobuf.

use std::{
    sync::atomic::Ordering::Relaxed,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use domain::Streak;
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value::Value},
    resource::v1::Resource,
    trace::v1::{ResourceSpans, ScopeSpans, Span, Status, span::SpanKind, status::StatusCode},
};
use prost::Message as _;
use reqwest::redirect::Policy;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{Counts, Finished, Tracing};

/// The most predictions in one message.
const BATCH: usize = 512;
/// How long the first of them waits for others.
const EVERY: Duration = Duration::from_secs(1);
/// How long the collector may take, also for the last message.
const PATIENCE: Duration = Duration::from_secs(2);

/// Sends until told to stop, and then what is left. What the collector does not take is dropped.
pub(crate) async fn run(
    counts: &Counts,
    mut receiver: mpsc::Receiver<Finished>,
    Tracing { endpoint, headers, .. }: &Tracing,
    resource: &Resource,
    stop: &CancellationToken,
) {
    let url = format!("{}/v1/traces", endpoint.trim_end_matches('/'));
    let client = reqwest::Client::builder().timeout(PATIENCE).redirect(Policy::none());
    let client = match client.default_headers(headers.clone()).build() {
        Ok(client) => client,
        Err(error) => return tracing::error!(%error, "traces cannot be sent"),
    };
    let mut streak = Streak::default();
    while let Some(batch) = gather(&mut receiver, stop).await {
        let count = batch.len() as u64;
        let message = message(resource, batch).encode_to_vec();
        let request = client.post(&url).header("content-type", "application/x-protobuf");
        let sent = request.body(message).send().await;
        match sent.and_then(reqwest::Response::error_for_status) {
            Ok(_) => {
                counts.sent.fetch_add(count, Relaxed);
                if streak.ended() {
                    tracing::info!("the collector takes traces again");
                }
            }
            Err(error) => {
                counts.refused.fetch_add(count, Relaxed);
                streak.failed();
                if streak.is_news() {
                    tracing::warn!(%error, "the collector takes no traces: they are dropped");
                }
            }
        }
    }
}

/// What is over by now and a little later; nothing once we are to stop and nothing is left.
async fn gather(
    receiver: &mut mpsc::Receiver<Finished>,
    stop: &CancellationToken,
) -> Option<Vec<Finished>> {
    let first = stop.run_until_cancelled(receiver.recv()).await.flatten();
    let first = match first {
        Some(first) => {
            stop.run_until_cancelled(tokio::time::sleep(EVERY)).await;
            first
        }
        None => receiver.try_recv().ok()?,
    };
    let mut batch = vec![first];
    while batch.len() < BATCH
        && let Ok(next) = receiver.try_recv()
    {
        batch.push(next);
    }
    Some(batch)
}

/// Who sends them.
pub(crate) fn resource(node: &str, host: &str) -> Resource {
    let attributes = [
        ("service.name", "bottega"),
        ("service.version", env!("CARGO_PKG_VERSION")),
        ("service.instance.id", node),
        ("host.name", host),
    ];
    let attributes = attributes.map(|(key, value)| text(key, value.to_owned())).into();
    Resource { attributes, ..Resource::default() }
}

fn message(resource: &Resource, batch: Vec<Finished>) -> ExportTraceServiceRequest {
    let scope = InstrumentationScope { name: "bottega".to_owned(), ..Default::default() };
    let spans = batch.into_iter().flat_map(written).collect();
    let scope_spans = ScopeSpans { scope: Some(scope), spans, ..ScopeSpans::default() };
    let resource_spans = ResourceSpans {
        resource: Some(resource.clone()),
        scope_spans: vec![scope_spans],
        ..ResourceSpans::default()
    };
    ExportTraceServiceRequest { resource_spans: vec![resource_spans] }
}

/// A prediction's span, and those of its stages, which are its end.
fn written(finished: Finished) -> Vec<Span> {
    let Finished { traced, name, ended, took, stages, texts, rows, code } = finished;
    let begun = ended.checked_sub(took).unwrap_or(ended);
    let rows = Value::IntValue(i64::try_from(rows).unwrap_or(i64::MAX));
    let texts = texts.into_iter().map(|(key, value)| text(key, value));
    let attributes = texts.chain([attribute("bottega.rows", rows)]).collect();
    // As OpenTelemetry has it, what a caller did wrong is no error of the server's.
    let failed = code.filter(|code| rest::status(*code).is_server_error());
    let status = failed
        .map(|code| Status { code: StatusCode::Error.into(), message: code.as_str().to_owned() });
    let span = |name: String, span: [u8; 8], from: SystemTime, to: SystemTime| Span {
        trace_id: traced.own.trace.into(),
        span_id: span.into(),
        name,
        start_time_unix_nano: nanos(from),
        end_time_unix_nano: nanos(to),
        ..Span::default()
    };
    let mut spans = vec![Span {
        parent_span_id: traced.parent.map(Vec::from).unwrap_or_default(),
        kind: SpanKind::Server.into(),
        attributes,
        status,
        ..span(name, traced.own.span, begun, ended)
    }];
    let staged: Duration = stages.iter().map(|(_, took)| *took).sum();
    let mut at = begun + took.saturating_sub(staged);
    for (name, took) in stages {
        // The parts were measured one by one, and may be a little more than the whole.
        let until = (at + took).min(ended);
        spans.push(Span {
            parent_span_id: traced.own.span.into(),
            kind: SpanKind::Internal.into(),
            ..span(name.to_owned(), rand::random(), at, until)
        });
        at = until;
    }
    spans
}

fn text(key: &str, value: String) -> KeyValue {
    attribute(key, Value::StringValue(value))
}

fn attribute(key: &str, value: Value) -> KeyValue {
    let value = Some(AnyValue { value: Some(value) });
    KeyValue { key: key.to_owned(), value, ..KeyValue::default() }
}

fn nanos(at: SystemTime) -> u64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
