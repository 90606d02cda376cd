/// What is wrong with one value, in words its sender can act on.
///
/// A detail reads after the name of a field ("must be ...") and never repeats a phone number, so
/// that a fault may be logged and returned as it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Fault {
    /// A stable, kebab-case name for programs, such as `not-a-phone-number`.
    pub code: &'static str,
    /// One sentence for people, without a full stop.
    pub detail: String,
}

impl Fault {
    pub fn new(code: &'static str, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into() }
    }
}
