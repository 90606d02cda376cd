use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::history::read;
use super::model::{Past, quarters};
use crate::fuzz_test::fuzz_bytes;

#[test]
fn a_history_makes_a_forecast_that_can_be_stored() {
    let now: Timestamp = "2026-11-21T15:00:00Z".parse().unwrap();
    let past = Past::before(now, TimeZone::UTC);
    let windows = past.windows();
    let window = (windows[0].0, windows[1].1);
    let samples = [
        r#"{"contactStats": [{"intervalStartDate": "2026-10-02T10:15:00Z", "skillId": 7, "isOutbound": true,
            "totalContacts": 12, "totalHandled": 11, "averageHandleTime": 302.5, "abandonCount": 1}]}"#,
        r#"{"a": {"b": [{"intervalStartDate": "2026-10-02T10:15:00.000", "skillId": "7", "totalContacts": "12",
            "totalHandled": "1e2", "averageHandleTime": "PT5M16.976S"}]}, "total": null}"#,
    ];
    fuzz_bytes(&samples, |body| {
        let Some(history) = read(body, window) else { return };
        for quarter in quarters(history, &past, 10) {
            assert!(quarter.skill_id > 0 && (1..=7).contains(&quarter.weekday) && (0..96).contains(&quarter.quarter));
            for number in [quarter.expected_contacts, quarter.handle_seconds, quarter.agents] {
                assert!((0.0..1e13).contains(&number), "{quarter:?}");
            }
        }
    });
}
