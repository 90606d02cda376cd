use std::fmt;

use language_tags::LanguageTag;
use serde::Serialize;

use super::Fault;

/// In characters. RFC 5646 (section 4.4.1) allows a limit of 35; all registered tags are shorter.
const LONGEST: usize = 64;

/// The language of a caller: a BCP 47 tag whose subtags are all in IANA's registry, in canonical case (`en-US`,
/// `zh-Hant-TW`).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Language(String);

impl Language {
    /// # Errors
    /// `not-a-language` for a tag that is malformed, has a subtag that is not in the registry, or is for private use.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        if text.len() > LONGEST {
            return Err(not_a_language());
        }
        if text.contains('_') {
            return Err(Fault::new(
                "not-a-language",
                "must be a BCP 47 language tag, joined by hyphens: en-US, not en_US",
            ));
        }
        let tag = LanguageTag::parse(text).map_err(|_| not_a_language())?;
        tag.validate().map_err(|_| not_a_language())?;
        if names_no_language(&tag) {
            return Err(not_a_language());
        }
        Ok(Self(tag.into_string()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Private use: `x-...`, and the range `qaa` to `qtz`. The range is compared as text, as `validate` does,
/// which therefore accepts unregistered tags such as `qq`.
fn names_no_language(tag: &LanguageTag) -> bool {
    tag.as_str().starts_with("x-") || ("qaa"..="qtz").contains(&tag.primary_language())
}

fn not_a_language() -> Fault {
    Fault::new("not-a-language", "must be a BCP 47 language tag of registered subtags, such as en-US or es-419")
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn takes_registered_tags_and_settles_their_case() {
        for (text, tag) in [
            ("en", "en"),
            ("en-US", "en-US"),
            ("EN-us", "en-US"),
            ("es-419", "es-419"),
            ("pt-BR", "pt-BR"),
            ("zh-hant-tw", "zh-Hant-TW"),
            ("yue", "yue"),
            ("qu", "qu"),
            ("sl-rozaj", "sl-rozaj"),
            ("de-u-co-phonebk", "de-u-co-phonebk"),
            ("i-klingon", "i-klingon"),
        ] {
            assert_eq!(Language::parse(text).unwrap().as_str(), tag);
        }
    }

    #[test]
    fn refuses_what_is_not_registered() {
        let long = format!("en-{}", "abcdefgh-".repeat(22));
        for text in [
            "", "e", "english", "klingon", "xx", "xx-US", "en-", "-en", "en--US", "en US", "en-UX", "en-Abcd",
            "x-home", "qaa", "qq", "qblah", "ёж", "en-ÜS", "en\0", "en-US\n", "*", &long,
        ] {
            assert_eq!(Language::parse(text).unwrap_err().code, "not-a-language", "{text:?}");
        }
    }

    #[test]
    fn an_underscore_gets_a_hint() {
        let fault = Language::parse("en_US").unwrap_err();
        assert_eq!(fault.code, "not-a-language");
        assert!(fault.detail.contains("en-US, not en_US"));
    }

    proptest! {
        #[test]
        fn never_panics(text in any::<String>()) {
            let _ = Language::parse(&text);
        }

        #[test]
        fn what_is_parsed_parses_to_itself(text in "[a-zA-Z]{2,3}(-[a-zA-Z]{4})?(-[a-zA-Z]{2})?(-[a-z0-9]{1,8}){0,2}") {
            if let Ok(language) = Language::parse(&text) {
                prop_assert_eq!(Language::parse(language.as_str()), Ok(language));
            }
        }
    }
}
