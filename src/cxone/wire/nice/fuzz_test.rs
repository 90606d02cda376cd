use jiff::Timestamp;

use super::dialer_intervals::read;
use crate::fuzz_test::fuzz_bytes;

#[test]
fn intervals_of_dialers_have_each_interval_of_a_skill_once_with_possible_numbers() {
    let samples = [
        r#"{"wfM_OB_StatsV9": [{"intervalStartDate": "2026-11-20T15:00:00Z", "skillId": "4001", "dials": "120",
            "connects": "30", "connectsAHT": "300", "abandons": "1"},
            {"intervalStartDate": "2026-11-20T15:00:00Z", "skillId": 4001, "dials": 121, "connects": 1e2}]}"#,
        r#"[{"intervalStartDate": "2026-11-20T15:15:00.000", "skillId": 4002, "dials": 7, "connects": null}]"#,
    ];
    fuzz_bytes(&samples, |body| {
        let Some(intervals) = read(body, (Timestamp::MIN, Timestamp::MAX)) else { return };
        for pair in intervals.windows(2) {
            assert!((pair[0].skill, pair[0].start) < (pair[1].skill, pair[1].start), "{intervals:?}");
        }
        for interval in intervals {
            assert!(interval.skill > 0 && interval.dials <= 1_000_000 && interval.connects <= 1_000_000);
        }
    });
}
