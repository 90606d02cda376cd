//! The text message that confirms a callback, in the caller's language and on the caller's clock.

use std::{borrow::Cow, collections::HashMap};

use fluent_templates::{Loader, fluent_bundle::FluentValue};
use icu_datetime::{
    DateTimeFormatter, DateTimeFormatterPreferences,
    fieldsets::{YMD, zone::SpecificShort},
    input::{Date, DateTime, Time, TimeZone, UtcOffset, ZonedDateTime},
    preferences::CalendarAlgorithm,
};
use icu_locale::{Locale, locale};
use jiff::{Timestamp, Zoned};
use jiff_icu::{ConvertFrom, ConvertTryFrom};
use uuid::Uuid;

use crate::types::{Language, Zone};

fluent_templates::static_loader! {
    // A language has a text when it has a directory here.
    static TEXTS = {
        locales: "./src/callbacks/texts",
        fallback_language: "en",
        // The marks around a value serve right-to-left text, which none of the texts is, and are
        // not in GSM-7.
        customise: |bundle| bundle.set_use_isolating(false),
    };
}

/// "Your callback is confirmed for Nov 20, 2026, 10:30 AM EST. Reference: ..." in the caller's
/// language, or all of it in English where there is no text in that language.
///
/// `at` is shown to the minute in `zone`, as the language's region writes dates and times, in the
/// Gregorian calendar. The zone is named by its abbreviation where that region uses one and by its
/// offset from UTC otherwise (`GMT-5`).
pub fn confirmation_text(language: &Language, zone: &Zone, at: Timestamp, reference: Uuid) -> String {
    let at = at.to_zoned(zone.tz().clone());
    let locale = locale_with_text(language);
    localized(&locale, &at, reference).unwrap_or_else(|| plain_english(&at, reference))
}

fn locale_with_text(language: &Language) -> Locale {
    Locale::try_from_str(language.as_str()).ok().filter(has_text).unwrap_or(locale!("en"))
}

fn has_text(locale: &Locale) -> bool {
    TEXTS.locales().any(|text| text.language.as_str() == locale.id.language.as_str())
}

fn localized(locale: &Locale, at: &Zoned, reference: Uuid) -> Option<String> {
    let text = locale.id.language.as_str().parse().ok()?;
    let arguments = HashMap::from([
        (Cow::Borrowed("time"), FluentValue::from(local_time(locale, at)?)),
        (Cow::Borrowed("reference"), FluentValue::from(reference.to_string())),
    ]);
    TEXTS.try_lookup_with_args(&text, "confirmation", &arguments)
}

/// The formatter is built for every message: that takes some 5 microseconds, less than a cache of
/// several hundred locales is worth.
fn local_time(locale: &Locale, at: &Zoned) -> Option<String> {
    let fields = YMD::medium().with_time_hm().with_zone(SpecificShort);
    let formatter = DateTimeFormatter::try_new(preferences(locale), fields).ok()?;
    let date = Date::convert_from(at.date());
    let time = Time::convert_from(at.time());
    let zone = TimeZone::convert_from(at.time_zone())
        .with_offset(UtcOffset::convert_try_from(at.offset()).ok())
        .at_date_time(DateTime { date, time });
    let formatted = formatter.format(&ZonedDateTime { date, time, zone });
    Some(in_plain_characters(&formatted.to_string()))
}

/// Of a caller's locale, what a message in Latin script can follow: not its script, calendar or
/// numerals. In Thailand the year 2026 is 2569, also in English.
fn preferences(locale: &Locale) -> DateTimeFormatterPreferences {
    let mut locale = locale.clone();
    locale.id.script = None;
    locale.id.variants.clear();
    let mut preferences = DateTimeFormatterPreferences::from(&locale);
    preferences.calendar_algorithm = Some(CalendarAlgorithm::Gregory);
    preferences.numbering_system = None;
    preferences
}

/// ICU sets times with narrow no-break spaces and offsets with a true minus. Neither is in the
/// GSM-7 alphabet of text messages, and one character outside of it turns the whole message into
/// UCS-2: 70 characters to a part instead of 160.
fn in_plain_characters(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\u{202f}' | '\u{a0}' | '\u{2009}' => ' ',
            '\u{2212}' => '-',
            other => other,
        })
        .collect()
}

/// Without ICU and Fluent, for the day one of them fails: a confirmation in plain English is worth
/// more than none.
fn plain_english(at: &Zoned, reference: Uuid) -> String {
    let time = at.strftime("%b %-d, %Y, %-I:%M %p %Z");
    format!("Your callback is confirmed for {time}. Reference: {reference}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const REFERENCE: Uuid = Uuid::from_u128(0x0195_d4c8_7b5e_7c3a_9f00_1234_5678_9abc);
    const ID: &str = "0195d4c8-7b5e-7c3a-9f00-123456789abc";
    /// 20 November 2026 at 10:30 in New York, in winter.
    const WINTER: &str = "2026-11-20T15:30:00Z";
    const SUMMER: &str = "2026-07-04T19:05:59.999Z";

    fn text(language: &str, zone: &str, at: &str) -> String {
        let language = Language::parse(language).unwrap();
        let zone = Zone::parse(zone).unwrap();
        confirmation_text(&language, &zone, at.parse().unwrap(), REFERENCE)
    }

    #[test]
    fn says_when_in_the_callers_language_and_zone() {
        for (language, zone, at, time) in [
            ("en-US", "America/New_York", WINTER, "Nov 20, 2026, 10:30 AM EST"),
            ("en-US", "America/New_York", SUMMER, "Jul 4, 2026, 3:05 PM EDT"),
            ("en", "US/Eastern", WINTER, "Nov 20, 2026, 10:30 AM EST"),
            ("en-US", "UTC", WINTER, "Nov 20, 2026, 3:30 PM UTC"),
            ("en-US", "Asia/Kolkata", WINTER, "Nov 20, 2026, 9:00 PM GMT+5:30"),
            ("en-IN", "Asia/Kolkata", WINTER, "20 Nov 2026, 9:00 PM IST"),
            ("en-GB", "Europe/London", WINTER, "20 Nov 2026, 15:30 GMT"),
            ("en-GB", "Europe/London", SUMMER, "4 Jul 2026, 20:05 BST"),
            ("en-GB", "America/New_York", WINTER, "20 Nov 2026, 10:30 GMT-5"),
            // The hour that comes twice is told apart.
            ("en-US", "America/New_York", "2026-11-01T05:30:00Z", "Nov 1, 2026, 1:30 AM EDT"),
            ("en-US", "America/New_York", "2026-11-01T06:30:00Z", "Nov 1, 2026, 1:30 AM EST"),
            // Neither another calendar nor other numerals or letters, but the clock asked for.
            ("en-TH", "Asia/Bangkok", WINTER, "Nov 20, 2026, 10:30 PM GMT+7"),
            ("en-u-ca-hebrew-nu-arab", "UTC", WINTER, "Nov 20, 2026, 3:30 PM UTC"),
            ("en-Shaw", "UTC", WINTER, "Nov 20, 2026, 3:30 PM UTC"),
            ("en-US-u-hc-h23", "UTC", WINTER, "Nov 20, 2026, 15:30 UTC"),
            // No text in these, hence all of it in English.
            ("ja-JP", "Asia/Tokyo", WINTER, "Nov 21, 2026, 12:30 AM GMT+9"),
            ("zh-cmn-Hant-TW", "UTC", WINTER, "Nov 20, 2026, 3:30 PM UTC"),
            ("i-klingon", "UTC", WINTER, "Nov 20, 2026, 3:30 PM UTC"),
        ] {
            assert_eq!(
                text(language, zone, at),
                format!("Your callback is confirmed for {time}. Reference: {ID}"),
                "{language}"
            );
        }
    }

    #[test]
    fn has_a_text_in_five_languages() {
        for (language, zone, at, expected) in [
            (
                "es-US",
                "America/New_York",
                WINTER,
                "Le confirmamos que le devolveremos la llamada el 20 nov 2026, 10:30 a.m. EST. Referencia: ",
            ),
            (
                "es-MX",
                "America/Mexico_City",
                SUMMER,
                "Le confirmamos que le devolveremos la llamada el 4 jul 2026, 01:05 p.m. GMT-6. Referencia: ",
            ),
            (
                "es-ES",
                "Europe/Madrid",
                SUMMER,
                "Le confirmamos que le devolveremos la llamada el 4 jul 2026, 21:05 CEST. Referencia: ",
            ),
            (
                "fr-FR",
                "Europe/Paris",
                WINTER,
                "Votre rappel est confirmé pour le 20 nov. 2026, 16:30 UTC+1. Référence : ",
            ),
            (
                "fr-CA",
                "America/Toronto",
                SUMMER,
                "Votre rappel est confirmé pour le 4 juill. 2026, 15 h 05 HAE. Référence : ",
            ),
            (
                "fr",
                "America/New_York",
                WINTER,
                "Votre rappel est confirmé pour le 20 nov. 2026, 10:30 UTC-5. Référence : ",
            ),
            ("de-DE", "Europe/Berlin", WINTER, "Ihr Rückruf ist bestätigt für den 20.11.2026, 16:30 MEZ. Referenz: "),
            ("de-AT", "Europe/Vienna", SUMMER, "Ihr Rückruf ist bestätigt für den 04.07.2026, 21:05 MESZ. Referenz: "),
            (
                "pt-BR",
                "America/Sao_Paulo",
                WINTER,
                "A sua chamada de retorno foi confirmada para 20 de nov. de 2026, 12:30 BRT. Ref.: ",
            ),
            (
                "pt-PT",
                "Europe/Paris",
                SUMMER,
                "A sua chamada de retorno foi confirmada para 04/07/2026, 21:05 CEST. Ref.: ",
            ),
        ] {
            let text = text(language, zone, at);
            assert_eq!(text, format!("{expected}{ID}"));
            assert!(text.chars().all(is_gsm_7), "{text}");
            assert!(text.chars().count() <= 160, "{text}");
        }
    }

    /// 3GPP TS 23.038, section 6.2.1, of which these are the characters that occur.
    fn is_gsm_7(c: char) -> bool {
        c.is_ascii_alphanumeric() || " .,:/+-".contains(c) || "éèàùìòñäöüßÄÖÜÉÑ".contains(c)
    }

    #[test]
    fn plain_english_names_the_zone() {
        let zone = Zone::parse("America/New_York").unwrap();
        let at: Timestamp = WINTER.parse().unwrap();
        assert_eq!(plain_english(&at.to_zoned(zone.tz().clone()), REFERENCE), text("en", "America/New_York", WINTER));
    }

    #[test]
    fn the_ends_of_time_do_no_harm() {
        let language = Language::parse("fr").unwrap();
        for zone in ["UTC", "America/New_York", "Pacific/Kiritimati"] {
            for at in [Timestamp::MIN, Timestamp::MAX] {
                let text = confirmation_text(&language, &Zone::parse(zone).unwrap(), at, REFERENCE);
                assert!(text.ends_with(ID));
            }
        }
    }

    fn languages() -> impl Strategy<Value = Language> {
        prop_oneof!["(en|es|fr|de|pt)(-[A-Z]{2})?", "[a-z]{2}"]
            .prop_filter_map("unknown language", |tag| Language::parse(&tag).ok())
    }

    fn zones() -> impl Strategy<Value = Zone> {
        let names: Vec<String> = jiff::tz::db().available().map(|name| name.to_string()).collect();
        prop::sample::select(names).prop_filter_map("not a zone", |name| Zone::parse(&name).ok())
    }

    proptest! {
        #[test]
        fn any_text_is_whole_and_plain(
            language in languages(),
            zone in zones(),
            second in 946_684_800_i64..4_133_980_799,
        ) {
            let at = Timestamp::from_second(second).unwrap();
            let text = confirmation_text(&language, &zone, at, REFERENCE);
            prop_assert!(text.ends_with(ID));
            prop_assert!(text.chars().count() <= 160, "{}", text);
            let is_plain = !text.contains(['\u{2068}', '\u{2069}', '\u{202f}', '\u{a0}', '\u{2009}', '\u{2212}']);
            prop_assert!(is_plain, "{:?}", text);
            // The year, and a zone: an abbreviation or an offset.
            let year = at.to_zoned(zone.tz().clone()).year().to_string();
            prop_assert!(text.contains(&year), "{}", text);
        }
    }
}
