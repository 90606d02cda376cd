use std::fmt;

use serde::Serialize;

use super::Fault;

/// In characters.
const LONGEST: usize = 128;

/// A client's own id of a callback. It may be personal: it has no `Display` and its `Debug` hides it, so that it is not
/// logged by accident.
#[derive(Clone, PartialEq, Eq, Hash, Serialize)]
pub struct ExternalId(String);

impl ExternalId {
    /// # Errors
    /// `not-an-external-id` for a text that is empty, longer than 128 characters, or has a control character.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        if !(1..=LONGEST).contains(&text.chars().count()) || text.contains(char::is_control) {
            return Err(Fault::new("not-an-external-id", "must be 1 to 128 characters, without control characters"));
        }
        Ok(Self(text.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ExternalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ExternalId(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_of_1_to_128_printable_characters_is_an_external_id() {
        for text in ["1", "order 7/2026", "Ä€漢😀", &"x".repeat(128), &"€".repeat(128)] {
            assert_eq!(ExternalId::parse(text).unwrap().as_str(), text);
        }
        for text in ["", &"x".repeat(129), "a\0b", "a\nb", "\u{7f}", "\u{85}"] {
            assert_eq!(ExternalId::parse(text).unwrap_err().code, "not-an-external-id", "{text:?}");
        }
    }

    #[test]
    fn debug_output_hides_the_text() {
        assert_eq!(format!("{:?}", ExternalId::parse("patient-7").unwrap()), "ExternalId(…)");
    }
}
