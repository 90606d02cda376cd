//! CXone's answers are input: each bad one ends in a clear failure code, and in nothing worse.

use jiff::{SignedDuration, Timestamp, ToSpan as _};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{World, caller, payload_with, text};

/// Bodies that are no answer to anything, under a status that says that all went well.
fn bad_bodies() -> Vec<Value> {
    vec![
        json!("<html>It works!</html>"),
        json!(""),
        json!("{\"contactId\": "),
        json!("nothing\u{0}here"),
        json!(null),
        json!(true),
        json!([]),
        json!({}),
        json!([[]]),
        json!({"unexpected": true}),
        json!({"error": "locked", "error_description": "the tenant is locked"}),
        json!({"success": false, "message": "the tenant is locked"}),
        json!("x".repeat(300_000)),
        json!({"padding": "x".repeat(300_000)}),
    ]
}

/// A world in which every row of a table has a campaign and a caller of its own.
struct Table {
    world: World,
    rows: usize,
}

impl Table {
    async fn start() -> Self {
        Self { world: World::start().await, rows: 0 }
    }

    /// The next row's payload; nothing is known of its campaign's forecast.
    fn row(&mut self) -> Value {
        self.rows += 1;
        let campaign = format!("campaign-{}", self.rows);
        self.world.cxone.add_campaign(&campaign);
        payload_with(json!({"phoneNumber": caller(self.rows), "campaignId": campaign}))
    }

    /// Posts the next row while `route` goes wrong once; gives the answer's status and the callback.
    async fn ask(&mut self, route: &str, fault: Value) -> (u16, Value) {
        self.ask_for(3, route, fault).await
    }

    /// The same, waiting no longer than so many seconds.
    async fn ask_for(&mut self, seconds: u32, route: &str, mut fault: Value) -> (u16, Value) {
        let payload = self.row();
        fault["route"] = json!(route);
        fault["times"] = json!(1);
        self.world.cxone.fault(fault).await;
        let (status, answer) = self.world.ask_with(&payload, &[("prefer", &format!("wait={seconds}"))]).await;
        assert_eq!(
            self.world.cxone.control(Method::GET, "faults", None).await,
            json!([]),
            "no request of {route} came"
        );
        (status, answer)
    }
}

fn code(callback: &Value) -> &str {
    callback["failure"]["code"].as_str().unwrap_or("none")
}

fn detail(callback: &Value) -> String {
    text(&callback["failure"], "detail")
}

/// As much of a row as identifies it in a failed assertion.
fn short(row: &Value) -> String {
    row.to_string().chars().take(80).collect()
}

#[tokio::test]
async fn an_invalid_forecast_answer_places_nothing_and_is_requested_again() {
    let mut table = Table::start().await;
    let hour = |hour: &str, agents: Value, calls: Value| json!({"hour": hour, "availableAgents": agents, "expectedCalls": calls});
    let forecast = |hours: Value| json!({"forecast": hours});
    let at = Timestamp::from_second((Timestamp::now().as_second() / 3600 + 1) * 3600).unwrap().to_string();
    let mut bodies = bad_bodies();
    bodies.extend([
        forecast(json!(null)),
        forecast(json!({})),
        forecast(json!("none")),
        forecast(json!([null])),
        forecast(json!([[at, 3, 1]])),
        forecast(json!([hour(&at, json!(-1), json!(0))])),
        forecast(json!([hour(&at, json!(1e300), json!(0))])),
        forecast(json!([hour(&at, json!("3"), json!(0))])),
        forecast(json!([hour(&at, json!(null), json!(0))])),
        forecast(json!([hour(&at, json!(3), json!(-0.5))])),
        forecast(json!([hour(&at, json!(3), json!(1e300))])),
        forecast(json!([hour("soon", json!(3), json!(0))])),
        forecast(json!([hour("2026-11-20T15:00:00", json!(3), json!(0))])),
        forecast(json!([hour("+999999-01-01T00:00:00Z", json!(3), json!(0))])),
        forecast(json!([{"hour": at, "availableAgents": 3}])),
        forecast(json!([{"hour": 1_800_000_000, "availableAgents": 3, "expectedCalls": 0}])),
    ]);
    for body in &bodies {
        let (status, callback) = table.ask("forecast", json!({"kind": "body", "body": body})).await;

        assert_eq!((status, code(&callback)), (202, "cxone-unexpected-answer"), "{}", short(body));
        assert_eq!(callback["dispatchTime"], Value::Null, "{}", short(body));
    }
    assert_eq!(table.world.cxone.contacts().await.len(), 0);

    table.world.all_settled_without_delay().await;
    table.world.assert_each_done_once(bodies.len()).await;
    table.world.end().await;
}

#[tokio::test]
async fn a_forecast_without_an_hour_of_the_window_is_no_forecast() {
    let mut table = Table::start().await;
    let hour = |at: Timestamp| json!({"hour": at, "availableAgents": 3, "expectedCalls": 0});
    let now = Timestamp::now();
    for hours in [
        json!([]),
        json!([hour(now - 48.hours())]),
        json!([hour(now + 3.hours()), hour(now + 720.hours())]),
        json!([hour(Timestamp::MIN), hour(Timestamp::MAX)]),
    ] {
        let (status, problem) = table.ask("forecast", json!({"kind": "body", "body": {"forecast": hours}})).await;

        assert_eq!((status, text(&problem, "type").as_str()), (422, "/problems/no-forecast"), "{hours}");
        let callback = table.world.get(&format!("/v1/callbacks/{}", text(&problem, "callbackId"))).await;
        assert_eq!((text(&callback, "status").as_str(), code(&callback)), ("failed", "no-forecast"), "{hours}");
    }
    assert_eq!(table.world.cxone.contacts().await.len(), 0);
    table.world.end().await;
}

#[tokio::test]
async fn forecast_hours_may_be_out_of_order_or_outside_the_requested_range() {
    let mut table = Table::start().await;
    let payload = table.row();
    let start: Timestamp = text(&payload, "requestedStart").parse().unwrap();
    let first = Timestamp::from_second(start.as_second().div_euclid(3600) * 3600).unwrap();
    let hour =
        |hours: i64, agents: u32| json!({"hour": first + hours.hours(), "availableAgents": agents, "expectedCalls": 0});
    // The window lies in the hours 0 and 1; most of it in one of them. Those around it have more room, and are not asked for.
    let hours = [hour(3, 90), hour(1, 20), hour(-1, 99), hour(0, 5), hour(400, 99)];
    let path = format!("campaigns/{}/forecast", text(&payload, "campaignId"));
    table.world.cxone.control(Method::PUT, &path, Some(json!({"raw": {"forecast": hours}}))).await;

    let (status, callback) = table.world.ask(&payload).await;

    assert_eq!(status, 201);
    let at: Timestamp = text(&callback, "dispatchTime").parse().unwrap();
    let best = if start == first { first } else { first + 1.hours() };
    assert!(best <= at && at <= start + 1.hours(), "{at} is not in the hour of {best}");
    table.world.assert_each_done_once(1).await;
    table.world.end().await;
}

#[tokio::test]
async fn an_invalid_contact_answer_is_retried_with_the_same_id_and_creates_one_contact() {
    let mut table = Table::start().await;
    let mut bodies = bad_bodies();
    bodies.extend([
        json!({"contactId": null}),
        json!({"contactId": ""}),
        json!({"contactId": 7}),
        json!({"contactId": "7"}),
        json!({"contactId": "01936b5e-0000-7000-8000-000000000000"}),
        json!(["01936b5e-0000-7000-8000-000000000000"]),
    ]);
    for body in &bodies {
        for after_work in [false, true] {
            let (status, callback) = table
                .ask("contact", json!({"kind": "body", "body": body, "status": 201, "afterWork": after_work}))
                .await;

            assert_eq!((status, code(&callback)), (202, "cxone-unexpected-answer"), "{}", short(body));
        }
    }
    assert_eq!(table.world.cxone.messages().await.len(), 0, "a text came before its contact was known");

    table.world.all_settled_without_delay().await;
    table.world.assert_each_done_once(bodies.len() * 2).await;
    table.world.end().await;
}

#[tokio::test]
async fn after_an_invalid_message_answer_the_text_is_not_sent_again() {
    let mut table = Table::start().await;
    let mut bodies = bad_bodies();
    bodies.extend([
        json!({"sessionId": null}),
        json!({"sessionId": ""}),
        json!({"sessionId": {}}),
        json!({"sessionId": true}),
        json!({"sessionId": "nothing\u{0}here"}),
        json!({"sessionId": "7".repeat(300)}),
        json!(["session"]),
    ]);
    for body in &bodies {
        let (status, callback) = table.ask("message", json!({"kind": "body", "body": body, "afterWork": true})).await;

        let confirmation = text(&callback["confirmation"], "status");
        assert_eq!(
            (status, confirmation.as_str(), code(&callback)),
            (201, "unknown", "cxone-unexpected-answer"),
            "{}",
            short(body)
        );
        assert_eq!(callback["nextAttemptAt"], Value::Null, "{}", short(body));
    }
    assert_eq!(table.world.cxone.count("message").await, u64::try_from(bodies.len()).unwrap());
    table.world.end().await;
}

#[tokio::test]
async fn an_answer_lost_after_the_call_took_effect_duplicates_nothing() {
    let mut table = Table::start().await;
    let lost = [
        json!({"kind": "drop"}),
        json!({"kind": "status", "status": 504}),
        json!({"kind": "status", "status": 302}),
        json!({"kind": "body", "status": 204, "body": ""}),
    ];
    // By CXone's contract nothing was done then. For a contact it does not matter whether that is true.
    let failed = [500, 502, 503].map(|status| json!({"kind": "status", "status": status}));
    let of_contacts = lost.iter().chain(&failed).map(|fault| ("contact", fault));
    let faults: Vec<_> = of_contacts.chain(lost.iter().map(|fault| ("message", fault))).collect();
    for (route, fault) in &faults {
        let mut fault = (*fault).clone();
        fault["afterWork"] = json!(true);
        table.ask(route, fault).await;
    }

    table.world.all_settled_without_delay().await;

    let contacts = table.world.cxone.contacts().await;
    assert_eq!(contacts.len(), faults.len());
    let texts = crate::support::tally(&table.world.cxone.messages().await, |message| text(message, "to"));
    assert!(texts.values().all(|count| *count == 1), "{texts:?}");
    assert_eq!(table.world.number("select count(*) from callbacks where status <> 'scheduled'").await, 0);
    table.world.end().await;
}

#[tokio::test]
async fn a_contact_created_before_an_error_keeps_the_time_in_cxone() {
    for fault in [
        json!({"kind": "drop"}),
        json!({"kind": "status", "status": 500}),
        json!({"kind": "status", "status": 502}),
        json!({"kind": "status", "status": 504}),
        json!({"kind": "body", "body": {}}),
    ] {
        let world = World::start().await;
        let mut order = fault.clone();
        for (name, value) in [("route", json!("contact")), ("times", json!(1)), ("afterWork", json!(true))] {
            order[name] = value;
        }
        world.cxone.fault(order).await;
        let (status, callback) = world.ask(&payload_with(json!({"phoneNumber": caller(1)}))).await;
        assert_eq!(status, 202, "{fault}");

        // Others come meanwhile; a new place would be another one.
        for n in 2..5 {
            assert_eq!(world.ask(&payload_with(json!({"phoneNumber": caller(n)}))).await.0, 201);
        }
        let cancelled = world.post(&format!("/v1/callbacks/{}/cancel", text(&callback, "id")), &json!({})).await;
        assert_eq!(cancelled.status(), 409, "{fault}: CXone may have the contact");
        world.all_settled_without_delay().await;

        world.assert_each_done_once(4).await;
        world.end().await;
    }
}

#[tokio::test]
async fn each_status_of_each_call_has_its_meaning() {
    let mut table = Table::start().await;
    // For a forecast and a contact: the code, and whether that is the end.
    let cases = [
        (400, "cxone-rejected", true),
        (403, "cxone-forbidden", true),
        (404, "cxone-rejected", true),
        (418, "cxone-outcome-unknown", false),
        (422, "cxone-rejected", true),
        (500, "cxone-unavailable", false),
        (501, "cxone-unavailable", false),
        (503, "cxone-unavailable", false),
        (504, "cxone-outcome-unknown", false),
        (302, "cxone-unexpected-answer", false),
    ];
    for (status, expected, is_final) in cases {
        for route in ["forecast", "contact"] {
            let (answered, answer) = table.ask(route, json!({"kind": "status", "status": status})).await;

            let callback = if is_final {
                table.world.get(&format!("/v1/callbacks/{}", text(&answer, "callbackId"))).await
            } else {
                answer
            };
            assert_eq!(answered, if is_final { 422 } else { 202 }, "{route} {status}");
            // A write that CXone failed at may have been done all the same.
            let unknown =
                route == "contact" && (500..=501).contains(&status) && code(&callback) == "cxone-outcome-unknown";
            assert!(code(&callback) == expected || unknown, "{route} {status}: {callback}");
            if status == 403 {
                let scope = if route == "forecast" { "outbound:forecast:read" } else { "outbound:contact:write" };
                assert!(detail(&callback).contains(scope), "{callback}");
            }
        }
    }
    table.world.all_settled_without_delay().await;
    assert_eq!(table.world.cxone.contacts().await.len(), 12, "one for each callback that could be tried again");

    for (status, expected, confirmation) in [
        (400, "cxone-rejected", "failed"),
        (403, "cxone-forbidden", "failed"),
        (404, "cxone-rejected", "failed"),
        (409, "cxone-conflict", "failed"),
        (422, "cxone-rejected", "failed"),
        (504, "cxone-outcome-unknown", "unknown"),
        (302, "cxone-unexpected-answer", "unknown"),
    ] {
        let (answered, callback) = table.ask("message", json!({"kind": "status", "status": status})).await;

        assert_eq!((answered, code(&callback)), (201, expected), "message {status}");
        assert_eq!(callback["confirmation"]["status"], confirmation, "message {status}");
    }
    table.world.end().await;
}

#[tokio::test]
async fn the_wait_after_any_retry_after_is_bounded() {
    let date = |at: Timestamp| at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    let now = Timestamp::now();
    // The header, and the bounds of the wait in seconds, with up to a second of jitter. Other forms of the header
    // are tested beside the parser.
    let cases = [
        (None, 2, 3),
        (Some("3".to_owned()), 3, 4),
        (Some("2.5".to_owned()), 2, 4),
        (Some(String::new()), 2, 3),
        (Some("1e300".to_owned()), 2, 601),
        (Some(date(now + 300.seconds())), 250, 301),
        (Some("99999999999".to_owned()), 2, 601),
    ];
    for (index, (said, least, most)) in cases.iter().enumerate() {
        // A separate world, because a 429 delays all requests to the endpoint.
        let mut table = Table::start().await;
        let route = ["forecast", "contact"][index % 2];
        let mut fault = json!({"kind": "status", "status": 429});
        if let Some(said) = said {
            fault["retryAfter"] = json!(said);
        }

        let (status, callback) = table.ask_for(1, route, fault).await;

        assert_eq!((status, code(&callback)), (202, "cxone-rate-limited"), "{said:?}");
        let next: Timestamp = text(&callback, "nextAttemptAt").parse().unwrap();
        let failed_at: Timestamp = text(&callback, "updatedAt").parse().unwrap();
        let wait = next.duration_since(failed_at);
        let bounds = SignedDuration::from_millis(least * 1000 - 50)..SignedDuration::from_millis(most * 1000 + 950);
        assert!(bounds.contains(&wait), "{said:?}: a wait of {wait:#}");
        if most < &5 {
            table.world.all_settled().await;
            table.world.assert_each_done_once(1).await;
        }
        table.world.end().await;
    }
}

#[tokio::test]
async fn a_failure_quotes_cxones_error_shortened_and_without_phone_numbers() {
    let mut table = Table::start().await;
    let long = "x".repeat(300_000);
    // CXone's answer, what of it operators see, and what nobody sees.
    let cases = [
        (json!({"error": "bad_phone", "error_description": "the number is blocked"}), "the number is blocked", "\n"),
        (json!({"error": {"code": 7, "text": "blocked by law"}}), "blocked by law", "\n"),
        (json!({"errors": [{"message": "blocked by law"}]}), "blocked by law", "\n"),
        (json!("<h1>Blocked\r\nby law</h1>"), "Blocked  by law", "\n"),
        (json!("zero \u{0} byte"), "zero   byte", "\u{0}"),
        (json!(format!("Blocked by law {long}")), "Blocked by law", &long[..1000]),
        (json!({"error_description": format!("Blocked by law {long}")}), "Blocked by law", &long[..1000]),
        (json!("the number +12025550198 is blocked"), "is blocked", "5550198"),
        (json!("the number 12025550198 is blocked"), "is blocked", "5550198"),
        (json!("the number +1 202-555-0198 is blocked"), "is blocked", "555-0198"),
        (json!("the number (202) 555-0198 is blocked"), "is blocked", "555-0198"),
        (json!("the number 202.555.0198 is blocked"), "is blocked", "555.0198"),
        (json!("the number 202 555 0198 is blocked"), "is blocked", "555 0198"),
        (json!("the number tel:+1-202-555-0198 is blocked"), "is blocked", "555-0198"),
    ];
    for (body, seen, unseen) in cases {
        let (status, problem) = table.ask("contact", json!({"kind": "status", "status": 400, "body": body})).await;

        let callback = table.world.get(&format!("/v1/callbacks/{}", text(&problem, "callbackId"))).await;
        assert_eq!((status, code(&callback)), (422, "cxone-rejected"), "{}", short(&body));
        let detail = detail(&callback);
        assert!(detail.contains(seen) && !detail.contains(unseen), "{}: {detail}", short(&body));
        assert!(detail.len() < 700, "{} bytes", detail.len());
        let audit = table.world.get(&format!("/v1/audit?callbackId={}", text(&callback, "id"))).await.to_string();
        assert!(!audit.contains(unseen) || unseen.len() == 1, "{}", short(&body));
    }
    let (_, callback) = table
        .ask("contact", json!({"kind": "body", "body": {"error": "e", "error_description": "the tenant is locked"}}))
        .await;
    assert!(detail(&callback).contains("the tenant is locked"), "of a 200 with an error inside: {callback}");
    table.world.end().await;
}
