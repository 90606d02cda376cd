use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::*;
use crate::fuzz_test::{fuzz, fuzz_bytes};

fn us() -> Region {
    Region::parse("US").unwrap()
}

#[test]
fn a_phone_number_parses_to_itself_and_its_faults_show_no_digit() {
    let faults = [PhoneNumber::parse("", &us()).unwrap_err(), PhoneNumber::parse("x1", &us()).unwrap_err()];
    let samples = ["+13125550142", "(312) 555-0142", "1-312-555-0142", "+44 (0)20 7946 0958", "312.555.0142 ext. 12"];
    fuzz(&samples, |text| match PhoneNumber::parse(text, &us()) {
        Ok(number) => {
            let shown = number.masked().chars().filter(char::is_ascii_digit).count();
            assert!(number.as_str().len() > shown + 3, "{number:?}");
            assert_eq!(serde_json::from_value::<PhoneNumber>(json!(number)).unwrap(), number);
            assert_eq!(PhoneNumber::parse(number.as_str(), &us()), Ok(number));
        }
        Err(fault) => assert!(faults.contains(&fault)),
    });
}

#[test]
fn a_time_zone_and_a_language_parse_to_themselves() {
    fuzz(&["America/New_York", "Etc/GMT+5", "utc", "en-US", "zh-Hant-TW", "de-DE-1996", "x-private"], |text| {
        if let Ok(zone) = TimeZone::parse(text) {
            assert_eq!(TimeZone::parse(zone.name()), Ok(zone));
        }
        if let Ok(language) = Language::parse(text) {
            assert!(language.as_str().len() <= 64);
            assert_eq!(Language::parse(language.as_str()), Ok(language));
        }
        if let Ok(region) = Region::parse(text) {
            assert_eq!(text.parse(), Ok(region));
        }
    });
}

#[test]
fn an_instant_parses_to_itself() {
    fuzz(&["2026-11-20T15:00:00Z", "2026-11-20t10:30:00.123456789-05:00", "2000-01-01T00:00:00+23:59"], |text| {
        if let Ok(at) = parse_instant(text) {
            assert_eq!(parse_instant(&at.to_string()), Ok(at));
            let later = at + jiff::SignedDuration::from_hours(1);
            let _ = TimeWindow::parse(at, later).unwrap();
        }
    });
}

#[test]
fn a_time_of_day_parses_to_itself() {
    fuzz(&["9:00", "23:59", "00:00"], |text| {
        if let Ok(time) = parse_time_of_day(text) {
            assert_eq!(parse_time_of_day(&time.strftime("%H:%M").to_string()), Ok(time));
        }
    });
}

#[test]
fn an_id_parses_to_itself() {
    let uuid = "0192f0c4-1111-7000-8000-00000000000a";
    fuzz(
        &[uuid, "a1b2c3d4-e5f6-7890-g1h2-i3j4k5l6m7n8", "{0192F0C4-1111-7000-8000-00000000000A}", "ticket 47/11"],
        |text| {
            if let Ok(id) = CampaignId::parse(text) {
                assert!((1..=64).contains(&id.as_str().len()));
                assert_eq!(CampaignId::parse(id.as_str()), Ok(id));
            }
            if let Ok(id) = ExternalId::parse(text) {
                assert_eq!(id.as_str(), text);
            }
            if let Ok(id) = parse_uuid(text) {
                assert_eq!(parse_uuid(&id.to_string()), Ok(id));
            }
        },
    );
}

#[test]
fn metadata_is_kept_as_it_was_sent() {
    fuzz_bytes(&[r#"{"queue": "billing", "a\tb": "€", "n": ""}"#, r#"{"one": 1, "": "x"}"#], |bytes| {
        let Ok(object) = serde_json::from_slice::<Map<String, Value>>(bytes) else { return };
        match Metadata::parse(&object) {
            Ok(metadata) => assert_eq!(json!(metadata), Value::Object(object)),
            Err(faults) => assert!(!faults.is_empty() && faults.len() <= 2 * object.len() + 1),
        }
    });
}

#[test]
fn a_wait_is_never_negative() {
    let now: Timestamp = "2026-11-20T15:00:00Z".parse().unwrap();
    fuzz(&["7", "0.5", "Fri, 20 Nov 2026 15:00:09 GMT", "Friday, 20-Nov-26 15:00:09 GMT", "1e9"], |text| {
        let _ = parse_retry_after(text, now);
    });
}

#[test]
fn a_phone_number_in_any_text_is_masked() {
    let samples =
        ["the number ", "call, or: ", "at 2026-11-20T15:00:00Z id 01912345-1234-7123-8123-123456789012 ", "%2B1%20"];
    fuzz(&samples, |text| {
        for number in ["+1 312-555-0142", "3125550142", "(312)\u{a0}555\u{2011}0142"] {
            for text in [format!("{text} {number}"), format!("{number} {text}")] {
                let masked = mask_phone_numbers(&text);
                assert!(!masked.contains("555-0142") && !masked.contains("5550142"), "{masked}");
                assert!(!masked.contains("555\u{2011}0142"), "{masked}");
                assert!(masked.len() <= 2 * text.len());
            }
        }
    });
}
