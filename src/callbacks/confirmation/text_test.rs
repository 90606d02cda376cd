use proptest::prelude::*;

use super::*;

const REFERENCE: &str = ID;
const ID: &str = "0195d4c8-7b5e-7c3a-9f00-123456789abc";
/// 20 November 2026 at 10:30 in New York, in winter.
const WINTER: &str = "2026-11-20T15:30:00Z";
const SUMMER: &str = "2026-07-04T19:05:59.999Z";

fn text(language: &str, zone: &str, at: &str) -> String {
    let language = Language::parse(language).unwrap();
    let zone = TimeZone::parse(zone).unwrap();
    confirmation_text(&language, &zone, at.parse().unwrap(), REFERENCE)
}

#[test]
fn the_time_is_in_the_language_and_the_zone_of_the_callback() {
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
        // In the repeated hour, the zone shows which one it is.
        ("en-US", "America/New_York", "2026-11-01T05:30:00Z", "Nov 1, 2026, 1:30 AM EDT"),
        ("en-US", "America/New_York", "2026-11-01T06:30:00Z", "Nov 1, 2026, 1:30 AM EST"),
        // The calendar, numerals and script are fixed. The hour cycle is not.
        ("en-TH", "Asia/Bangkok", WINTER, "Nov 20, 2026, 10:30 PM GMT+7"),
        ("en-u-ca-hebrew-nu-arab", "UTC", WINTER, "Nov 20, 2026, 3:30 PM UTC"),
        ("en-Shaw", "UTC", WINTER, "Nov 20, 2026, 3:30 PM UTC"),
        ("en-US-u-hc-h23", "UTC", WINTER, "Nov 20, 2026, 15:30 UTC"),
        // No translation, so all of it is in English.
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
fn there_are_translations_in_five_languages() {
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
        ("fr-FR", "Europe/Paris", WINTER, "Votre rappel est confirmé pour le 20 nov. 2026, 16:30 UTC+1. Référence : "),
        (
            "fr-CA",
            "America/Toronto",
            SUMMER,
            "Votre rappel est confirmé pour le 4 juill. 2026, 15 h 05 HAE. Référence : ",
        ),
        ("fr", "America/New_York", WINTER, "Votre rappel est confirmé pour le 20 nov. 2026, 10:30 UTC-5. Référence : "),
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
        assert!(segment_septets(&text).is_some(), "{text}");
    }
}

/// The number of septets, by the code points of 3GPP TS 23.038, section 6.2.1. None if a character is not in the tables,
/// or if the text needs more than one segment.
#[expect(clippy::match_same_arms, reason = "ASCII, Latin-1 and Greek stand apart")]
fn segment_septets(text: &str) -> Option<u32> {
    let cost = |c: char| match u32::from(c) {
        0x5b..=0x5e | 0x7b..=0x7e | 0x20ac => Some(2),
        0x0a | 0x0d | 0x20..=0x5a | 0x5f | 0x61..=0x7a => Some(1),
        0xa1 | 0xa3 | 0xa4 | 0xa5 | 0xa7 | 0xbf | 0xc4..=0xc7 | 0xc9 | 0xd1 | 0xd6 | 0xd8 | 0xdc | 0xdf => Some(1),
        0xe0 | 0xe4..=0xe6 | 0xe8 | 0xe9 | 0xec | 0xf1 | 0xf2 | 0xf6 | 0xf8 | 0xf9 | 0xfc => Some(1),
        0x393 | 0x394 | 0x398 | 0x39b | 0x39e | 0x3a0 | 0x3a3 | 0x3a6 | 0x3a8 | 0x3a9 => Some(1),
        _ => None,
    };
    text.chars().map(cost).sum::<Option<u32>>().filter(|septets| *septets <= 160)
}

/// Every translation in every region.
fn languages_by_region() -> Vec<Language> {
    let letters = || 'A'..='Z';
    let regions = letters().flat_map(|first| letters().map(move |second| format!("-{first}{second}")));
    let regions: Vec<_> = regions.chain(["", "-419", "-150", "-001"].map(str::to_owned)).collect();
    let tags = TEXTS.locales().flat_map(|text| regions.iter().map(move |region| format!("{text}{region}")));
    tags.filter_map(|tag| Language::parse(&tag).ok()).collect()
}

#[test]
fn each_sms_fits_one_segment_in_every_language_region_and_month() {
    let zone = TimeZone::parse("America/New_York").unwrap();
    let languages = languages_by_region();
    assert!(languages.len() > 5 * 200, "{}", languages.len());
    for language in &languages {
        for month in 1..=12 {
            let at: Timestamp = format!("2026-{month:02}-28T23:59:00Z").parse().unwrap();
            let text = confirmation_text(language, &zone, at, REFERENCE);
            assert!(segment_septets(&text).is_some() && text.ends_with(ID), "{language}: {text}");
        }
    }
}

#[test]
fn each_sms_fits_one_segment_in_every_language_and_zone() {
    let zones = jiff::tz::db().available().map(|name| name.to_string());
    let zones: Vec<_> = zones.filter_map(|name| TimeZone::parse(&name).ok()).collect();
    assert!(zones.len() > 400, "{}", zones.len());
    for (language, zone) in TEXTS.locales().flat_map(|text| zones.iter().map(move |zone| (text, zone))) {
        let language = Language::parse(&language.to_string()).unwrap();
        for at in [WINTER, SUMMER] {
            let at: Timestamp = at.parse().unwrap();
            let text = confirmation_text(&language, zone, at, REFERENCE);
            assert!(segment_septets(&text).is_some(), "{language} {zone}: {text}");
            let english = plain_english(&at.to_zoned(zone.tz().clone()), REFERENCE);
            assert!(segment_septets(&english).is_some(), "{zone}: {english}");
        }
    }
}

#[test]
fn months_with_marks_outside_the_alphabet_lose_the_marks() {
    for (language, at, time) in [
        ("fr-FR", "2026-08-20T15:30:00Z", "20 aout 2026, 17:30 UTC+2"),
        ("fr-FR", "2026-02-20T15:30:00Z", "20 févr. 2026, 16:30 UTC+1"),
        ("fr-CA", "2026-12-20T15:30:00Z", "20 déc. 2026, 16 h 30 UTC+1"),
    ] {
        assert_eq!(
            text(language, "Europe/Paris", at),
            format!("Votre rappel est confirmé pour le {time}. Référence : {ID}")
        );
    }
}

#[test]
fn a_text_longer_than_one_segment_is_refused() {
    assert_eq!(in_one_segment("û".repeat(160)), Some("u".repeat(160)));
    for text in ["a".repeat(161), "€".repeat(81), "дек.".to_owned()] {
        assert_eq!(in_one_segment(text), None);
    }
}

#[test]
fn plain_english_includes_the_zone() {
    let zone = TimeZone::parse("America/New_York").unwrap();
    let at: Timestamp = WINTER.parse().unwrap();
    assert_eq!(plain_english(&at.to_zoned(zone.tz().clone()), REFERENCE), text("en", "America/New_York", WINTER));
}

#[test]
fn the_earliest_and_latest_timestamps_are_formatted() {
    let language = Language::parse("fr").unwrap();
    for zone in ["UTC", "America/New_York", "Pacific/Kiritimati"] {
        for at in [Timestamp::MIN, Timestamp::MAX] {
            let text = confirmation_text(&language, &TimeZone::parse(zone).unwrap(), at, REFERENCE);
            assert!(text.ends_with(ID));
        }
    }
}

/// Languages with regions, scripts, variants, calendars, numerals and hour cycles.
fn languages() -> impl Strategy<Value = Language> {
    let with_text = "(en|es|fr|de|pt)(-(Latn|Cyrl|Arab|Shaw))?(-([A-Z]{2}|419|150))?(-(1996|1901|oxendict))?\
        (-u(-ca-(buddhist|hebrew|islamic|japanese|roc))?(-hc-h(11|12|23|24))?(-nu-(arab|deva|thai|latn))?\
        (-rg-(gb|us|ca|th|sa)zzzz)?)?";
    prop_oneof![4 => with_text, 1 => "[a-z]{2}(-[A-Z]{2})?"]
        .prop_filter_map("unknown language", |tag| Language::parse(&tag).ok())
}

fn zones() -> impl Strategy<Value = TimeZone> {
    let names: Vec<String> = jiff::tz::db().available().map(|name| name.to_string()).collect();
    prop::sample::select(names).prop_filter_map("not a zone", |name| TimeZone::parse(&name).ok())
}

proptest! {
    #[test]
    fn each_sms_is_complete_and_fits_one_segment(
        language in languages(),
        zone in zones(),
        second in 946_684_800_i64..4_133_980_799,
    ) {
        let at = Timestamp::from_second(second).unwrap();
        let text = confirmation_text(&language, &zone, at, REFERENCE);
        prop_assert!(text.ends_with(ID));
        prop_assert!(segment_septets(&text).is_some(), "{:?}", text);
        // The year, and a zone: an abbreviation or an offset.
        let year = at.to_zoned(zone.tz().clone()).year().to_string();
        prop_assert!(text.contains(&year), "{}", text);
    }
}
