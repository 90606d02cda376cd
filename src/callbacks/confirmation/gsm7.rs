//! The GSM-7 alphabet of SMS (3GPP TS 23.038, section 6.2.1).
//!
//! One character outside of it changes the encoding of the whole message to UCS-2, with 70 characters per segment.

use icu_normalizer::DecomposingNormalizerBorrowed;

/// The septets of one segment.
pub const SEGMENT: usize = 160;

/// Characters of one septet.
const BASIC: &str = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡\
                     ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà";
/// Characters of two septets, without the form feed.
const EXTENSION: &str = "^{}\\[~]|€";

/// The text in GSM-7. Each character outside the alphabet is replaced by its closest form; none if it has no such form.
pub fn in_gsm7(text: &str) -> Option<String> {
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        if is_in_gsm7(c) { plain.push(c) } else { plain.push_str(&closest(c)?) }
    }
    Some(plain)
}

/// The number of septets of a text in GSM-7.
pub fn septets(text: &str) -> usize {
    text.chars().map(|c| if EXTENSION.contains(c) { 2 } else { 1 }).sum()
}

fn is_in_gsm7(c: char) -> bool {
    BASIC.contains(c) || EXTENSION.contains(c)
}

/// The closest form of a sign that ICU or translators use, or of a letter with marks.
fn closest(c: char) -> Option<String> {
    let sign = match c {
        '\u{2010}'..='\u{2015}' | '\u{2212}' => "-",
        '\u{2018}' | '\u{2019}' | '\u{2032}' | '`' | '´' => "'",
        '\u{201c}'..='\u{201e}' | '\u{2033}' | '«' | '»' => "\"",
        // Invisible direction and joining marks.
        '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => "",
        _ if c.is_whitespace() => " ",
        _ => return without_marks(c),
    };
    Some(sign.to_owned())
}

fn without_marks(c: char) -> Option<String> {
    let decomposed = DecomposingNormalizerBorrowed::new_nfkd().normalize(c.encode_utf8(&mut [0; 4])).into_owned();
    let plain: String = decomposed.chars().filter(|&part| !is_mark(part)).collect();
    plain.chars().all(is_in_gsm7).then_some(plain)
}

/// Whether it is a combining mark of European letters.
fn is_mark(c: char) -> bool {
    ('\u{300}'..='\u{36f}').contains(&c)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_character_outside_the_alphabet_is_replaced_by_its_closest_form() {
        for (text, plain) in [
            ("Nov 20, 2026, 10:30 AM", "Nov 20, 2026, 10:30 AM"),
            ("20 août 2026", "20 aout 2026"),
            ("ção á í ó ú ê ã Ŝ", "cao a i o u e a S"),
            ("é è à ù ì ò ñ ä ö ü ß Ç Ä Ö Ü É Ñ Å", "é è à ù ì ò ñ ä ö ü ß Ç Ä Ö Ü É Ñ Å"),
            ("10:30\u{202f}AM\u{a0}\u{2009}x\ty", "10:30 AM  x y"),
            ("UTC\u{2212}5 – — ‑", "UTC-5 - - -"),
            ("l’heure “a” … ², e\u{301}", "l'heure \"a\" ... 2, e"),
            ("\u{200e}a\u{2068}b\u{2069}", "ab"),
        ] {
            assert_eq!(in_gsm7(text).as_deref(), Some(plain));
        }
    }

    #[test]
    fn a_text_with_a_character_without_a_closest_form_is_refused() {
        for text in ["١", "½", "дек.", "11月20日", "ł", "\u{1f4de}", "\u{7}"] {
            assert_eq!(in_gsm7(text), None, "{text}");
        }
    }

    #[test]
    fn an_extension_character_has_two_septets() {
        for (text, cost) in [("", 0), ("@£é", 3), ("€", 2), ("^{}\\[~]|", 16), ("a[b]", 6)] {
            assert_eq!(septets(text), cost, "{text}");
        }
        assert_eq!((BASIC.chars().count(), EXTENSION.chars().count()), (127, 9), "127 and the escape");
    }

    proptest! {
        #[test]
        fn the_result_is_in_the_alphabet_and_stable(text in any::<String>()) {
            if let Some(plain) = in_gsm7(&text) {
                prop_assert!(plain.chars().all(is_in_gsm7));
                prop_assert_eq!(in_gsm7(&plain), Some(plain));
            }
        }
    }
}
