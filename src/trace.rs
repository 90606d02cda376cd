//! The W3C trace context of a request, which Ringback sends on to CXone and to webhook receivers, and the export of traces.

mod export;
mod span;

use uuid::Uuid;

pub use self::export::TraceExport;
pub use self::span::Span;

/// A `traceparent` of version 00. Stored with the work and sent with its requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Traceparent(String);

impl Traceparent {
    /// Parses a header's value. None if it does not have the form of <https://www.w3.org/TR/trace-context/>. Later versions
    /// are read as this one.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let well_formed = is_lower_hex(version, 2)
            && version != "ff"
            && is_lower_hex(trace, 32)
            && is_lower_hex(span, 16)
            && is_lower_hex(flags, 2)
            && (version != "00" || parts.next().is_none())
            && trace.bytes().any(|byte| byte != b'0')
            && span.bytes().any(|byte| byte != b'0');
        well_formed.then(|| Self(format!("00-{trace}-{span}-{flags}")))
    }

    /// A new trace, for a request without one.
    pub fn root(id: Uuid) -> Self {
        Self(format!("00-{}-{}-01", id.simple(), span_of(id)))
    }

    /// A child span in the same trace.
    #[must_use]
    pub fn child(&self, id: Uuid) -> Self {
        Self(format!("00-{}-{}-{}", self.trace_id(), span_of(id), &self.0[53..55]))
    }

    /// The 32 hexadecimal digits that all spans of the trace share.
    pub fn trace_id(&self) -> &str {
        &self.0[3..35]
    }

    /// The header's value.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The random bits of a UUID v7 are in its lower half.
fn span_of(id: Uuid) -> String {
    format!("{:016x}", id.as_u64_pair().1)
}

fn is_lower_hex(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_stays_in_the_trace() {
        let parent = Traceparent::parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01").unwrap();
        let child = parent.child(Uuid::from_u128(7));
        assert_eq!(child.as_str(), "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000007-01");
        assert_eq!(Traceparent::parse(child.as_str()), Some(child));
    }

    #[test]
    fn a_later_version_is_read_as_this_one() {
        let later = Traceparent::parse("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more").unwrap();
        assert_eq!(later.as_str(), "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
    }

    #[test]
    fn an_invalid_traceparent_is_none() {
        for text in [
            "",
            "00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
        ] {
            assert_eq!(Traceparent::parse(text), None, "{text}");
        }
    }
}
