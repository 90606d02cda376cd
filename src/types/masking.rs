//! Masks phone numbers in texts of others, such as the explanations of CXone.

use std::sync::LazyLock;

use regex::{Captures, Regex};

const MASK: &str = "•••";

/// Seven or more digits of any script, with up to four separators between two of them, and an extension. A separator is
/// anything but a letter or a digit, or an escape for it (`%20`, `&nbsp;`, `\u00a0`).
const PHONE_NUMBER: &str = r"(?x)
    (?: \p{Nd} | %3[0-9] )
    (?: (?: %[0-9A-Fa-f]{2} | &[a-z]{2,6}; | &\#[0-9]{1,5}; | \\u[0-9A-Fa-f]{4} | [^\p{L}\p{Nd}] ){0,4} (?: \p{Nd} | %3[0-9] ) ){6,}
    (?: [\s,]{0,3} (?i: ;ext= | extension | ext | x | \# ) [\s.:]{0,3} \p{Nd}{1,8} )?";

/// Dates, timestamps (RFC 3339) and UUIDs, which are not masked.
const KEPT: &str = r"(?x)
    \b (?: 19 | 20 )[0-9]{2} - (?: 0[1-9] | 1[0-2] ) - (?: 0[1-9] | [12][0-9] | 3[01] )
        (?: [Tt\ ] [0-9]{2}:[0-9]{2} (?: :[0-9]{2} (?: \.[0-9]{1,9} )? )? (?: [Zz] | [+-][0-9]{2}:[0-9]{2} )? )? \b
    | \b [0-9A-Fa-f]{8} - (?: [0-9A-Fa-f]{4} - ){3} [0-9A-Fa-f]{12} \b";

/// The text with `•••` in place of each phone number, in any format. Other long numbers are masked too.
pub fn mask_phone_numbers(text: &str) -> String {
    #[expect(clippy::expect_used, reason = "the pattern is constant, and a test uses it")]
    static PATTERN: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(&format!("(?<kept>{KEPT})|{PHONE_NUMBER}")).expect("a valid pattern"));
    let masked = |found: &Captures<'_>| found.name("kept").map_or(MASK, |kept| kept.as_str()).to_owned();
    PATTERN.replace_all(text, masked).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phone_number_is_masked_in_every_format() {
        for number in [
            "+12025550198",
            "12025550198",
            "2025550198",
            "555-0198",
            "(202) 555-0198",
            "+1 (202) 555-0198",
            "+1 202-555-0198",
            "202.555.0198",
            "202/555 0198",
            "+44 (0)20 7946 0958",
            "020 7946 0958",
            "+44\u{a0}20\u{a0}7946\u{a0}0958",
            "202\u{2011}555\u{2011}0198",
            "202\u{2013}555\u{200b}0198",
            "202 - 555 - 0198",
            "2 0 2 5 5 5 0 1 9 8",
            "%2B12025550198",
            "%2B1%20202%20555%200198",
            "%2B%31%32%30%32%35%35%35%30%31%39%38",
            "202&nbsp;555&#160;0198",
            "202\\u00a0555\\u00a00198",
            "tel:+1-202-555-0198;ext=0199",
            "+1 202 555 0198 ext. 0199",
            "+12025550198x0199",
            "+1 202 555 0198, extension 0199",
            "٢٠٢٥٥٥٠١٩٨",
            "２０２５５５０１９８",
        ] {
            let masked = mask_phone_numbers(&format!("the number {number} is blocked"));
            assert!(masked.starts_with("the number ") && masked.ends_with("••• is blocked"), "{number}: {masked}");
            let digits = masked.chars().filter(|c| c.is_numeric()).count();
            assert!(digits <= 2, "{number}: {masked}");
        }
    }

    #[test]
    fn dates_ids_and_short_numbers_are_kept() {
        for text in [
            "at 2026-11-20T15:00:00.123Z, code 4711, limit 100.5",
            "from 2026-11-20 to 2026-11-21 15:00",
            "id 01912345-1234-7123-8123-123456789012 of 123456",
            "HTTP 503, try again in 60 seconds",
        ] {
            assert_eq!(mask_phone_numbers(text), text);
        }
    }
}
