use std::fmt;

use serde::{Deserialize, Serialize};

use super::Fault;

const LONGEST: usize = 64;

/// The name of a campaign: 1 to 64 of `A-Z a-z 0-9 _ -`, compared with case.
///
/// It looks like a UUID in most systems but need not be one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct CampaignId(String);

impl CampaignId {
    /// # Errors
    /// `not-a-campaign-id` for anything but 1 to 64 of the characters above.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        if !(1..=LONGEST).contains(&text.len()) || !text.bytes().all(is_allowed) {
            return Err(Fault::new(
                "not-a-campaign-id",
                "must be 1 to 64 letters (A-Z, a-z), digits, hyphens or underscores",
            ));
        }
        Ok(Self(text.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_allowed(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'
}

impl TryFrom<String> for CampaignId {
    type Error = Fault;

    fn try_from(text: String) -> Result<Self, Fault> {
        Self::parse(&text)
    }
}

impl fmt::Display for CampaignId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn takes_letters_digits_hyphens_and_underscores() {
        let longest = "x".repeat(64);
        for text in ["a", "a1b2c3d4-e5f6-7890-g1h2-i3j4k5l6m7n8", "A_b-9", &longest] {
            assert_eq!(CampaignId::parse(text).unwrap().as_str(), text);
        }
    }

    #[test]
    fn refuses_everything_else() {
        let too_long = "x".repeat(65);
        for text in ["", " ", "a b", "a/b", "..", "é", "a\0", "a\n", &too_long] {
            assert_eq!(CampaignId::parse(text).unwrap_err().code, "not-a-campaign-id", "{text:?}");
        }
    }

    #[test]
    fn json_goes_through_parse() {
        let id: CampaignId = serde_json::from_str("\"abc-1\"").unwrap();
        assert_eq!(serde_json::to_string(&id).unwrap(), "\"abc-1\"");
        assert!(serde_json::from_str::<CampaignId>("\"a b\"").is_err());
    }

    proptest! {
        #[test]
        fn never_panics(text in any::<String>()) {
            let _ = CampaignId::parse(&text);
        }
    }
}
