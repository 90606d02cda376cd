use std::fmt;

use serde::{Deserialize, Serialize};

use super::Fault;

const LONGEST: usize = 64;
/// The lengths of the parts of a UUID, in hexadecimal digits.
const UUID_PARTS: [usize; 5] = [8, 4, 4, 4, 12];

/// The name of a campaign: 1 to 64 of `A-Z a-z 0-9 _ -`.
///
/// An id that is a UUID with hyphens is not case-sensitive and is kept in lower case. All others are case-sensitive.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct CampaignId(String);

impl CampaignId {
    /// # Errors
    /// `not-a-campaign-id` for anything else.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        if !(1..=LONGEST).contains(&text.len()) || !text.bytes().all(is_allowed) {
            return Err(Fault::new(
                "not-a-campaign-id",
                "must be 1 to 64 letters (A-Z, a-z), digits, hyphens or underscores",
            ));
        }
        Ok(Self(if is_uuid(text) { text.to_ascii_lowercase() } else { text.to_owned() }))
    }

    /// Whether it is a UUID in its form with hyphens.
    pub fn is_uuid(&self) -> bool {
        is_uuid(&self.0)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_allowed(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'
}

fn is_uuid(text: &str) -> bool {
    let is_hex = |part: &str| part.bytes().all(|byte| byte.is_ascii_hexdigit());
    text.split('-').map(str::len).eq(UUID_PARTS) && text.split('-').all(is_hex)
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
    fn a_uuid_is_the_same_in_either_case_and_nothing_else_is() {
        let (upper, lower) = ("0192F0C4-ABCD-7000-8000-00000000BEEF", "0192f0c4-abcd-7000-8000-00000000beef");
        for text in [upper, lower, "0192F0c4-abcD-7000-8000-00000000bEEF"] {
            let id = CampaignId::parse(text).unwrap();
            assert_eq!((id.as_str(), id.is_uuid()), (lower, true));
            assert_eq!(serde_json::from_str::<CampaignId>(&format!("{text:?}")).unwrap(), id);
        }
        let no_uuids = [
            "A1B2C3D4-E5F6-7890-G1H2-I3J4K5L6M7N8",
            "0192F0C4ABCD70008000-00000000BEEF",
            "0192F0C4ABCD7000800000000000BEEF",
            "0192F0C4-ABCD-7000-8000-00000000BEE",
            "0192F0C4_ABCD_7000_8000_00000000BEEF",
            "ABCD",
        ];
        for text in no_uuids {
            let id = CampaignId::parse(text).unwrap();
            assert_eq!((id.as_str(), id.is_uuid()), (text, false));
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

        #[test]
        fn a_uuid_is_one_in_any_case(text in "[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}") {
            let id = CampaignId::parse(&text).unwrap();
            prop_assert_eq!(id.as_str(), text.to_lowercase());
            prop_assert_eq!(CampaignId::parse(&text.to_uppercase()).unwrap(), id);
        }
    }
}
