//! A collector of traces.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::body::Bytes;
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
use parking_lot::Mutex;
use prost::Message as _;
use tokio::net::TcpListener;

use super::eventually;

/// A span that was received.
#[derive(Clone, Debug)]
pub struct SpanReceived {
    pub trace: String,
    pub id: String,
    pub parent: String,
    pub name: String,
    /// The process that it is of.
    pub instance: String,
    pub attributes: Vec<(String, String)>,
}

/// Listens on a loopback address until it is dropped.
pub struct Collector {
    pub url: String,
    spans: Arc<Mutex<Vec<SpanReceived>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Collector {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let spans = Arc::new(Mutex::new(Vec::new()));
        let received = Arc::clone(&spans);
        let receive = async move |body: Bytes| received.lock().extend(spans_of(&body));
        let router = axum::Router::new().route("/v1/traces", post(receive));
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, spans, task }
    }

    /// A span with this name and this parent.
    pub async fn span(&self, name: &str, parent: &str) -> SpanReceived {
        eventually(&format!("a span {name} below {parent}"), async || {
            let spans = self.spans.lock().clone();
            let found = spans.iter().find(|span| span.name == name && span.parent == parent);
            found.cloned().ok_or_else(|| format!("{spans:#?}"))
        })
        .await
    }

    pub fn spans(&self) -> Vec<SpanReceived> {
        self.spans.lock().clone()
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn spans_of(body: &[u8]) -> Vec<SpanReceived> {
    let request = ExportTraceServiceRequest::decode(body).unwrap();
    let mut spans = Vec::new();
    for process in request.resource_spans {
        let attributes = process.resource.map(|resource| texts(&resource.attributes)).unwrap_or_default();
        let instance = attributes.iter().find(|(name, _)| name == "service.instance.id").unwrap().1.clone();
        for span in process.scope_spans.into_iter().flat_map(|scope| scope.spans) {
            spans.push(SpanReceived {
                trace: hex(&span.trace_id),
                id: hex(&span.span_id),
                parent: hex(&span.parent_span_id),
                name: span.name,
                instance: instance.clone(),
                attributes: texts(&span.attributes),
            });
        }
    }
    spans
}

fn texts(attributes: &[KeyValue]) -> Vec<(String, String)> {
    let text = |attribute: &KeyValue| match attribute.value.as_ref().and_then(|value| value.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    };
    attributes.iter().map(|attribute| (attribute.key.clone(), text(attribute))).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
