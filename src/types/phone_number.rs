use std::{fmt, str::FromStr};

use rlibphonenumber::{PHONE_NUMBER_UTIL, PhoneNumberFormat, PhoneNumberType};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Fault;

/// In characters. Numbers with separators have at most half of this.
const LONGEST_TEXT: usize = 64;
/// In digits, with the country code. E.164 allows at most 15; no country uses fewer than 5.
const DIGITS: std::ops::RangeInclusive<usize> = 5..=15;
/// In digits. At least so many are masked.
const FEWEST_HIDDEN: usize = 3;
/// In digits: at most four at each end are shown.
const MOST_SHOWN: usize = 8;

/// The country or territory of numbers without a country code: an ISO 3166 alpha-2 code that libphonenumber knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Region(rlibphonenumber::Region);

impl Region {
    /// # Errors
    /// `not-a-region` for anything but two capital letters of a known region.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        // The default. libphonenumber's metadata take 6 MB and are loaded at the first use, which waits for the first number.
        if text == "US" {
            return Ok(Self(rlibphonenumber::Region::US));
        }
        // World is libphonenumber's code for numbers of no country. The text is compared because the parser accepts more than
        // one form.
        PHONE_NUMBER_UTIL
            .get_supported_regions()
            .filter(|region| *region != rlibphonenumber::Region::World)
            .find(|region| region.as_region_str().as_str() == text)
            .map(Self)
            .ok_or_else(|| Fault::new("not-a-region", "must be an ISO 3166 code of two capital letters, such as US"))
    }
}

impl FromStr for Region {
    type Err = Fault;

    fn from_str(text: &str) -> Result<Self, Fault> {
        Self::parse(text)
    }
}

/// A phone number in E.164 (`+12025550198`), in a range that its country has assigned. It has no `Display` and its `Debug` is
/// masked, so that it is not logged by accident.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PhoneNumber(String);

impl PhoneNumber {
    /// Parses a number as it is written or dialled in `region`, or in international form with a `+` or the region's
    /// international prefix. A `#` at the end, which ends an entry on a keypad, is dropped.
    ///
    /// # Errors
    /// - `not-a-phone-number` for other text, and for numbers that `isValidNumber` of libphonenumber refuses
    /// - `phone-number-extension` for a number with an extension
    pub fn parse(text: &str, region: &Region) -> Result<Self, Fault> {
        // A limit in bytes, since only ASCII is accepted.
        if text.len() > LONGEST_TEXT {
            return Err(not_a_phone_number());
        }
        if has_extension(text) {
            return Err(Fault::new(
                "phone-number-extension",
                "must be a phone number without an extension: extensions cannot be dialed",
            ));
        }
        let keyed = text.strip_suffix('#').unwrap_or(text);
        if !is_written_as_a_number(keyed) {
            return Err(not_a_phone_number());
        }
        let number = PHONE_NUMBER_UTIL.parse(keyed, Some(region.0)).map_err(|_| not_a_phone_number())?;
        if !PHONE_NUMBER_UTIL.is_valid_number(&number) {
            return Err(not_a_phone_number());
        }
        Self::from_stored(number.format_as(PhoneNumberFormat::E164).into_owned())
    }

    /// Reads a stored number. Only its form is checked: a number stays readable after its range is withdrawn.
    ///
    /// # Errors
    /// `not-a-phone-number` for anything but `+` and 5 to 15 digits.
    pub fn from_stored(e164: String) -> Result<Self, Fault> {
        if !is_e164(&e164) {
            return Err(not_a_phone_number());
        }
        Ok(Self(e164))
    }

    /// In place of a number that was erased. It has no text.
    pub fn erased() -> Self {
        Self(String::new())
    }

    /// In E.164, such as `+12025550198`. To dial and to store, never for logs.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether its range has only fixed lines, which receive no text messages. False if the country's numbers do not
    /// distinguish fixed lines and mobiles, as in North America.
    pub fn is_certainly_fixed_line(&self) -> bool {
        PHONE_NUMBER_UTIL
            .parse(&self.0, None)
            .is_ok_and(|number| PHONE_NUMBER_UTIL.get_number_type(&number) == PhoneNumberType::FixedLine)
    }

    /// Whether its range is that of a place: of a fixed line, or of a mobile in a country whose mobiles have area codes.
    pub fn is_geographical(&self) -> bool {
        PHONE_NUMBER_UTIL.parse(&self.0, None).is_ok_and(|number| PHONE_NUMBER_UTIL.is_number_geographical(&number))
    }

    /// `+1202•••0198`: the first and the last four digits, or fewer of a short number, so that at least three are masked.
    /// Always three bullets, for any number of digits.
    pub fn masked(&self) -> String {
        let digits = self.0.trim_start_matches('+');
        let shown = digits.len().saturating_sub(FEWEST_HIDDEN).min(MOST_SHOWN);
        let (head, tail) = (shown / 2, shown - shown / 2);
        let first: String = digits.chars().take(head).collect();
        let last: String = digits.chars().skip(digits.len() - tail).collect();
        format!("+{first}•••{last}")
    }
}

/// Digits and separators, after at most one `+`. Stricter than libphonenumber, which also accepts letters, digits of other
/// scripts, and leading text.
fn is_written_as_a_number(text: &str) -> bool {
    let text = text.trim_matches(' ');
    let national = text.strip_prefix('+').unwrap_or(text);
    national.bytes().all(|byte| byte.is_ascii_digit() || b" ()-.".contains(&byte))
}

/// Whether text ends in an extension: `x123`, `ext. 123`, `#123`, `;ext=123`. The text before it is not checked: it is
/// refused in any case, this only decides why.
fn has_extension(text: &str) -> bool {
    const LABELS: [&str; 6] = ["x", "ext", "extn", "extension", "#", "ext="];
    let text = text.to_ascii_lowercase();
    let before = text.trim_end_matches(|c: char| c.is_ascii_digit() || c == ' ');
    let extension = &text[before.len()..];
    let before = before.trim_end_matches(['.', ':', ' ']);
    let label_start = before.rfind(|c: char| c.is_ascii_digit() || " ),;-.".contains(c)).map_or(0, |index| index + 1);
    extension.contains(|c: char| c.is_ascii_digit()) && LABELS.contains(&&before[label_start..])
}

fn is_e164(text: &str) -> bool {
    let Some(digits) = text.strip_prefix('+') else {
        return false;
    };
    DIGITS.contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit()) && !digits.starts_with('0')
}

fn not_a_phone_number() -> Fault {
    Fault::new("not-a-phone-number", "must be a phone number, such as +12025550198 or (202) 555-0198")
}

impl fmt::Debug for PhoneNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PhoneNumber({})", self.masked())
    }
}

/// From E.164, as it is serialized.
impl<'de> Deserialize<'de> for PhoneNumber {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_stored(String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

impl Serialize for PhoneNumber {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn us() -> Region {
        Region::parse("US").unwrap()
    }

    #[test]
    fn takes_a_number_however_it_is_written() {
        for (text, region, e164) in [
            ("+12025550198", "US", "+12025550198"),
            ("+12025550198", "GB", "+12025550198"),
            ("2025550198", "US", "+12025550198"),
            ("12025550198", "US", "+12025550198"),
            ("(202) 555-0198", "US", "+12025550198"),
            ("1-202-555-0198", "US", "+12025550198"),
            ("202.555.0198", "US", "+12025550198"),
            (" +1 202 555 0198 ", "US", "+12025550198"),
            ("2025550198#", "US", "+12025550198"),
            ("+44 20 7946 0958", "US", "+442079460958"),
            ("+44 (0)20 7946 0958", "US", "+442079460958"),
            ("011 44 20 7946 0958", "US", "+442079460958"),
            ("020 7946 0958", "GB", "+442079460958"),
            ("+39 06 698 12345", "US", "+390669812345"),
        ] {
            let number = PhoneNumber::parse(text, &Region::parse(region).unwrap()).unwrap();
            assert_eq!(number.as_str(), e164, "{text}");
        }
    }

    #[test]
    fn refuses_what_cannot_be_dialled() {
        let long = format!("+1{}2025550198", " ".repeat(60));
        for text in [
            "",
            " ",
            "+",
            "#",
            "5550198",
            "202555019",
            "20255501980",
            "911",
            "+1 911",
            "0000000000",
            "1112223333",
            "+999123456789",
            "+12025550198+",
            "++12025550198",
            "1+2025550198",
            "1-800-FLOWERS",
            "call me",
            "x",
            "tel:+12025550198",
            "202-555-0198 or 0199",
            "2025550198/2025550199",
            "*672025550198",
            "2025550198##",
            "2025550198\0",
            "\x002025550198",
            "2025550198\n",
            "２０２５５５０１９８",
            "٢٠٢٥٥٥٠١٩٨",
            "202\u{2010}555\u{2010}0198",
            "2025550198,,123",
            &long,
        ] {
            let fault = PhoneNumber::parse(text, &us()).unwrap_err();
            assert_eq!(fault.code, "not-a-phone-number", "{text:?}");
        }
    }

    #[test]
    fn refuses_an_extension_as_such() {
        for text in [
            "2025550198x123",
            "(202) 555-0198 x123",
            "202-555-0198 ext. 123",
            "2025550198ext123",
            "2025550198 extension 123",
            "+12025550198;ext=123",
            "2025550198#123",
            "(202) 555-0198 X 12 ",
            "x123",
            "ext 5",
        ] {
            let fault = PhoneNumber::parse(text, &us()).unwrap_err();
            assert_eq!(fault.code, "phone-number-extension", "{text:?}");
        }
    }

    #[test]
    fn regions_are_iso_3166_codes() {
        for text in ["US", "GB", "DE", "BR"] {
            assert!(Region::parse(text).is_ok(), "{text}");
            assert_eq!(text.parse::<Region>(), Region::parse(text));
        }
        for text in ["", "U", "us", "USA", "ZZ", "001", "World", "ÜS", "U\0"] {
            assert_eq!(Region::parse(text).unwrap_err().code, "not-a-region");
        }
    }

    #[test]
    fn only_a_range_of_fixed_lines_is_certainly_one() {
        for (e164, expected) in [
            ("+442079460958", true),
            ("+4930123456", true),
            ("+390669812345", true),
            ("+33142685300", true),
            ("+447911123456", false),
            ("+4915123456789", false),
            ("+12025550198", false),
            ("+18005550199", false),
            ("+5215512345678", false),
            // Voice over IP, premium rate, satellite.
            ("+445612345678", false),
            ("+449098790123", false),
            ("+881612345678", false),
            // Not assigned, too short, a country that does not exist.
            ("+442012345", false),
            ("+12345", false),
            ("+999123456789", false),
        ] {
            let number = PhoneNumber::from_stored(e164.to_owned()).unwrap();
            assert_eq!(number.is_certainly_fixed_line(), expected, "{e164}");
        }
    }

    #[test]
    fn hides_the_middle() {
        for (e164, masked) in [
            ("+12025550198", "+1202•••0198"),
            ("+442079460958", "+4420•••0958"),
            ("+4745123456", "+474•••3456"),
            ("+6834123", "+68•••23"),
            ("+24712", "+2•••2"),
        ] {
            let number = PhoneNumber::from_stored(e164.to_owned()).unwrap();
            assert_eq!(number.masked(), masked);
            assert_eq!(format!("{number:?}"), format!("PhoneNumber({masked})"));
            assert_eq!(serde_json::to_string(&number).unwrap(), format!("\"{e164}\""));
        }
    }

    #[test]
    fn stored_numbers_have_their_shape() {
        for text in ["", "+", "12025550198", "+1234", "+1234567890123456", "+02025550198", "+1202555o198"] {
            assert!(PhoneNumber::from_stored(text.to_owned()).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in any::<String>()) {
            let _ = PhoneNumber::parse(&text, &us());
            let _ = PhoneNumber::from_stored(text.clone());
            let _ = Region::parse(&text);
        }

        #[test]
        fn never_panics_near_a_number(text in "\\+?[0-9 ()x#.;ext=-]{0,30}") {
            let _ = PhoneNumber::parse(&text, &us());
        }

        #[test]
        fn what_is_parsed_parses_to_itself(text in "\\+[1-9][0-9]{6,14}") {
            if let Ok(number) = PhoneNumber::parse(&text, &us()) {
                prop_assert_eq!(PhoneNumber::parse(number.as_str(), &us()), Ok(number));
            }
        }

        #[test]
        fn at_least_three_digits_stay_hidden(e164 in "\\+[1-9][0-9]{4,14}") {
            let masked = PhoneNumber::from_stored(e164.clone()).unwrap().masked();
            let shown = masked.chars().filter(char::is_ascii_digit).count();
            prop_assert!(e164.len() - 1 - shown >= FEWEST_HIDDEN);
        }
    }
}
