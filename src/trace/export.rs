//! Sends spans to a collector by OTLP, as protobuf over HTTP.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry::{Key, KeyValue};
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use opentelemetry_semantic_conventions::resource::{SERVICE_INSTANCE_ID, SERVICE_NAME, SERVICE_VERSION};
use parking_lot::Mutex;
use tokio::runtime::Handle;
use uuid::Uuid;

use super::span::export_with;
use crate::tls;

/// How long the last spans may take at the end of the process.
const FLUSH_WITHIN: Duration = Duration::from_secs(3);
/// The longest request. `OTEL_EXPORTER_OTLP_TIMEOUT` may shorten it.
const EXPORT_WITHIN: Duration = Duration::from_secs(10);
/// Failures are logged at most this often.
const LOG_EVERY: Duration = Duration::from_mins(1);
/// The most bytes that are read of an answer. A collector answers with the number of spans that it refused.
const MAX_ANSWER: usize = 64 * 1024;

/// The export of traces. It runs until [`end`](Self::end).
pub struct TraceExport(Option<SdkTracerProvider>);

impl TraceExport {
    /// Starts to export to this endpoint, if there is one. The other variables of OpenTelemetry are read by its SDK.
    /// `OTEL_SDK_DISABLED=true` and `OTEL_TRACES_EXPORTER=none` turn it off.
    ///
    /// # Errors
    /// If one of the variables is invalid.
    pub fn start(endpoint: Option<&str>, instance: Uuid) -> anyhow::Result<Self> {
        let is = |variable, value| std::env::var(variable).is_ok_and(|text: String| text.eq_ignore_ascii_case(value));
        let is_off = is("OTEL_SDK_DISABLED", "true") || is("OTEL_TRACES_EXPORTER", "none");
        let Some(endpoint) = endpoint.filter(|_| !is_off) else { return Ok(Self(None)) };
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(Collector::new()?)
            .with_endpoint(format!("{endpoint}/v1/traces"))
            .build()?;
        // A thread of its own collects the spans and exports them; a full queue drops spans.
        let provider = SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource(instance));
        let provider = provider.build();
        export_with(provider.tracer("ringback"));
        Ok(Self(Some(provider)))
    }

    /// Exports what is left, for at most three seconds.
    pub async fn end(self) {
        let Some(provider) = self.0 else { return };
        // It blocks its thread.
        let ended = tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(FLUSH_WITHIN)).await;
        if !matches!(ended, Ok(Ok(()))) {
            tracing::warn!("the last traces may not have been exported");
        }
    }
}

fn resource(instance: Uuid) -> Resource {
    // Those of OTEL_RESOURCE_ATTRIBUTES and OTEL_SERVICE_NAME come first.
    let given = Resource::builder().build();
    let is_unnamed =
        given.get(&Key::from_static_str(SERVICE_NAME)).is_none_or(|name| name.as_str().starts_with("unknown_service"));
    let own = [
        Some(KeyValue::new(SERVICE_NAME, "ringback")).filter(|_| is_unnamed),
        Some(KeyValue::new(SERVICE_VERSION, env!("CARGO_PKG_VERSION"))),
        Some(KeyValue::new(SERVICE_INSTANCE_ID, instance.to_string())),
    ];
    let is_new = |own: &KeyValue| own.key.as_str() == SERVICE_NAME || given.get(&own.key).is_none();
    Resource::builder().with_attributes(own.into_iter().flatten().filter(is_new)).build()
}

/// The client of the collector. The thread that exports has no runtime, so requests run on that of the service.
#[derive(Debug)]
struct Collector {
    http: reqwest::Client,
    runtime: Handle,
    logged_at: Mutex<Option<Instant>>,
}

impl Collector {
    fn new() -> anyhow::Result<Self> {
        let http = tls::client_builder().timeout(EXPORT_WITHIN).build()?;
        Ok(Self { http, runtime: Handle::try_current()?, logged_at: Mutex::default() })
    }

    fn log(&self, error: &str) {
        let mut logged_at = self.logged_at.lock();
        if logged_at.is_none_or(|at| at.elapsed() >= LOG_EVERY) {
            *logged_at = Some(Instant::now());
            tracing::warn!(error, "traces were not exported and are lost");
        }
    }
}

#[async_trait]
impl HttpClient for Collector {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (http, request) = (self.http.clone(), reqwest::Request::try_from(request)?);
        let sent = self.runtime.spawn(async move { answer(&http, request).await }).await?;
        match &sent {
            Ok(answer) if answer.status().is_success() => {}
            Ok(answer) => self.log(&format!("the collector answered {}", answer.status())),
            // The innermost cause: the URL may have credentials.
            Err(error) => self.log(&root_cause(error)),
        }
        Ok(sent?)
    }
}

async fn answer(http: &reqwest::Client, request: reqwest::Request) -> Result<Response<Bytes>, reqwest::Error> {
    let mut received = http.execute(request).await?;
    let mut body = Vec::new();
    while let Some(piece) = received.chunk().await? {
        if body.len() + piece.len() > MAX_ANSWER {
            break;
        }
        body.extend_from_slice(&piece);
    }
    let mut answer = Response::new(Bytes::from(body));
    *answer.status_mut() = received.status();
    *answer.headers_mut() = std::mem::take(received.headers_mut());
    Ok(answer)
}

fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
