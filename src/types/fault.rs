/// What is wrong with one value, in words that its sender can act on.
///
/// A detail continues a sentence that begins with the name of the field ("must be ..."). It contains no phone number, so that a
/// fault can be logged.
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
