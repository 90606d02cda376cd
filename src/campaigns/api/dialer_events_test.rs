use serde_json::json;

use super::*;

fn now() -> Timestamp {
    "2026-11-20T15:00:00Z".parse().unwrap()
}

fn faults(body: &str) -> Vec<String> {
    assert!(samples(body.as_bytes(), now()).is_none(), "{body}");
    all_faults(body.as_bytes(), None, now()).fault_codes()
}

#[test]
fn events_are_counted_at_their_timestamps() {
    let body = json!({"events": [
        {"type": "ATTEMPT"},
        {"type": "ANSWER", "timestamp": "2026-11-20T09:59:58-05:00", "count": 1_000_000},
        {"type": "ATTEMPT", "timestamp": "2026-11-20T15:00:05Z", "count": 0},
    ]});
    let found = samples(body.to_string().as_bytes(), now()).unwrap();
    let counts = found.iter().map(|sample| (sample.counts.attempts, sample.counts.answers));
    assert_eq!(counts.collect::<Vec<_>>(), [(1, 0), (0, 1_000_000), (0, 0)]);
    assert_eq!(found[1].at.to_string(), "2026-11-20T14:59:58Z");
    assert_eq!(samples(br#"{"events": []}"#, now()), Some(vec![]));
}

#[test]
fn every_fault_of_the_events_is_found_at_once() {
    let body = json!({"events": [
        {"type": "ATTEMPT"}, {"type": "HANGUP"}, {"count": -1}, 7, null,
        {"type": "ANSWER", "timestamp": "2026-11-20T15:00:05.001Z"}, {"type": "ANSWER", "timestamp": "noon", "who": 1},
        {"type": "ATTEMPT", "count": 1_000_001},
    ], "campaign": 1});
    assert_eq!(
        faults(&body.to_string()),
        [
            "/campaign unknown-member",
            "/events/1/type unknown-event-type",
            "/events/2/count wrong-type",
            "/events/2/type required",
            "/events/3 wrong-type",
            "/events/4 wrong-type",
            "/events/5/timestamp in-the-future",
            "/events/6/timestamp not-a-timestamp",
            "/events/6/who unknown-member",
            "/events/7/count out-of-range",
        ]
    );
    assert_eq!(faults(r#"{"events": [{"type": "ANSWER", "count": 1000001}]}"#), ["/events/0/count out-of-range"]);
    assert_eq!(faults("{}"), ["/events required"]);
    let repeated = r#"{"events": [{"type": "ANSWER", "count": 1, "count": 2}]}"#;
    assert_eq!(faults(repeated), ["/events repeated-member"]);
    let too_many = format!(r#"{{"events": [{}{{"type": "ANSWER"}}]}}"#, r#"{"type": "ANSWER"},"#.repeat(MAX_EVENTS));
    assert_eq!(faults(&too_many), ["/events out-of-range"]);
    assert_eq!(all_faults(b"{", None, now()).kind, ProblemKind::MalformedJson);
}

#[test]
fn a_whole_number_may_have_a_point_and_an_event_is_an_object() {
    let found =
        samples(br#"{"events": [{"type": "ATTEMPT", "count": 7.0}, {"type": "ATTEMPT", "count": -0.0}]}"#, now());
    assert_eq!(found.unwrap().iter().map(|sample| sample.counts.attempts).collect::<Vec<_>>(), [7, 0]);
    assert_eq!(faults(r#"{"events": [{"type": "ATTEMPT", "count": 7.5}]}"#), ["/events/0/count wrong-type"]);
    assert_eq!(faults(r#"{"events": [["ATTEMPT", null, 7]]}"#), ["/events/0 wrong-type"]);
    assert_eq!(all_faults(br#"[[{"type": "ATTEMPT"}]]"#, None, now()).kind, ProblemKind::InvalidRequest);
    assert_eq!(samples(br#"[[{"type": "ATTEMPT"}]]"#, now()), None);
}
