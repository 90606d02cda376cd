//! Spans that are exported. Each has an explicit parent, so that work continues its trace on any replica.

use std::borrow::Cow;
use std::sync::OnceLock;

use opentelemetry::trace::{
    Span as _, SpanContext, SpanId, SpanKind, Status, TraceContextExt as _, TraceFlags, TraceId, TraceState,
    Tracer as _,
};
use opentelemetry::{Context, KeyValue, Value};
use opentelemetry_sdk::trace::{SdkTracer, Span as SdkSpan};
use opentelemetry_semantic_conventions::attribute::ERROR_TYPE;

use super::Traceparent;

/// Makes the spans of this process. Not set while traces are not exported.
static TRACER: OnceLock<SdkTracer> = OnceLock::new();

/// Exports the spans of this tracer from now on. The first one of a process wins.
pub(super) fn export_with(tracer: SdkTracer) {
    let _ = TRACER.set(tracer);
}

/// A span that ends when it is dropped. Nothing, where traces are not exported. Attributes have no phone number and no text
/// of a client.
#[derive(Debug, Default)]
pub struct Span(Option<Box<SdkSpan>>);

impl Span {
    /// The span of a request that was received.
    pub fn server(parent: Option<&Traceparent>, about: impl FnOnce() -> (String, Vec<KeyValue>)) -> Self {
        Self::start(SpanKind::Server, parent, || {
            let (name, attributes) = about();
            (name.into(), attributes)
        })
    }

    /// The span of a request that is sent.
    pub fn client(parent: &Traceparent, name: &'static str, attributes: impl FnOnce() -> Vec<KeyValue>) -> Self {
        Self::start(SpanKind::Client, Some(parent), || (name.into(), attributes()))
    }

    /// The span of work within the service.
    pub fn internal(
        parent: Option<&Traceparent>,
        name: &'static str,
        attributes: impl FnOnce() -> Vec<KeyValue>,
    ) -> Self {
        Self::start(SpanKind::Internal, parent, || (name.into(), attributes()))
    }

    fn start(
        kind: SpanKind,
        parent: Option<&Traceparent>,
        about: impl FnOnce() -> (Cow<'static, str>, Vec<KeyValue>),
    ) -> Self {
        let Some(tracer) = TRACER.get() else { return Self(None) };
        let parent = parent.and_then(context_of);
        let parent = parent.map_or_else(Context::new, |parent| Context::new().with_remote_span_context(parent));
        let (name, attributes) = about();
        let span = tracer.span_builder(name).with_kind(kind).with_attributes(attributes);
        Self(Some(Box::new(span.start_with_context(tracer, &parent))))
    }

    /// The parent of the spans below it.
    pub fn traceparent(&self) -> Option<Traceparent> {
        let context = self.0.as_ref()?.span_context();
        let flags = context.trace_flags().to_u8();
        Traceparent::parse(&format!("00-{}-{}-{flags:02x}", context.trace_id(), context.span_id()))
    }

    /// Adds an attribute.
    pub fn set(&mut self, name: &'static str, value: impl Into<Value>) {
        if let Some(span) = &mut self.0 {
            span.set_attribute(KeyValue::new(name, value));
        }
    }

    /// The work failed, with this code of a small set.
    pub fn fail(&mut self, code: impl Into<Cow<'static, str>>) {
        if let Some(span) = &mut self.0 {
            span.set_attribute(KeyValue::new(ERROR_TYPE, code.into()));
            span.set_status(Status::error(""));
        }
    }
}

fn context_of(parent: &Traceparent) -> Option<SpanContext> {
    let text = parent.as_str();
    let trace = TraceId::from_hex(parent.trace_id()).ok()?;
    let span = SpanId::from_hex(text.get(36..52)?).ok()?;
    let flags = u8::from_str_radix(text.get(53..55)?, 16).ok()?;
    Some(SpanContext::new(trace, span, TraceFlags::new(flags), true, TraceState::default()))
}
