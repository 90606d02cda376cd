//! A part of CXone fails: what is said of a contact is true, and only what needs that part waits.

use jiff::{Timestamp, ToSpan as _};
use reqwest::Method;
use ringback::cxone::{Class, ContactAnswer, Cxone as Client, CxoneError, NewContact, RequestContext, Sms, SmsSender};
use ringback::trace::Traceparent;
use ringback::types::{CampaignId, Language, PhoneNumber, TimeWindow};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{
    CALLER, CAMPAIGN, Cxone, DIALING, Database, World, client_of, create_key, eventually, minutes_from_now, pause,
    payload_from, payload_with, text,
};

fn code(callback: &Value) -> &str {
    callback["failure"]["code"].as_str().unwrap_or("none")
}

/// A fault of a route, once.
fn once(route: &str, mut fault: Value) -> Value {
    fault["route"] = json!(route);
    fault["times"] = json!(1);
    fault
}

#[tokio::test]
async fn a_409_confirms_a_contact_only_if_it_names_its_id() {
    let world = World::start().await;
    let another = "01936b5e-84aa-720d-83ca-60abacb44d8c";
    let conflicts = [
        json!(""),
        json!("<html><h1>409 Conflict</h1> already exists</html>"),
        json!({}),
        json!({"error": "duplicate contact", "message": "the contact already exists"}),
        json!({"contactId": another}),
        json!({"error": "do_not_call", "error_description": "the number is on a do-not-call list"}),
    ];
    for (n, body) in conflicts.iter().enumerate() {
        world.cxone.fault(once("contact", json!({"kind": "status", "status": 409, "body": body}))).await;
        let (status, callback) = world.ask(&payload_from(n)).await;
        assert_eq!((status, code(&callback)), (202, "cxone-outcome-unknown"), "409 {body}");
        assert_eq!(callback["contactId"], Value::Null, "409 {body}");
    }
    for (n, status) in [400, 422].into_iter().enumerate() {
        let body = json!({"error": "already_exists", "message": "this contact already exists, duplicate contact"});
        world.cxone.fault(once("contact", json!({"kind": "status", "status": status, "body": body}))).await;
        let (answered, problem) = world.ask(&payload_from(20 + n)).await;
        assert_eq!((answered, text(&problem, "type").as_str()), (422, "/problems/cxone-rejected"), "{status}");
    }
    assert_eq!((world.cxone.contacts().await.len(), world.cxone.messages().await.len()), (0, 0));

    // One that CXone has: the next 409 is its own, and names it.
    let lost = json!({"kind": "status", "status": 409, "body": "<html>Conflict</html>", "afterWork": true});
    world.cxone.fault(once("contact", lost)).await;
    assert_eq!(world.ask(&payload_from(40)).await.0, 202);
    world.all_settled_without_delay().await;

    let contacts = world.cxone.contacts().await;
    assert_eq!((contacts.len(), world.cxone.messages().await.len()), (conflicts.len() + 1, conflicts.len() + 1));
    assert_eq!(world.number("select count(*) from callbacks where status = 'scheduled'").await, 7);
    world.end().await;
}

#[tokio::test]
async fn a_failed_token_request_leaves_no_unknown_outcome_and_the_callback_can_be_cancelled() {
    for fault in [
        json!({"kind": "status", "status": 500}),
        json!({"kind": "status", "status": 504}),
        json!({"kind": "drop"}),
        json!({"kind": "body", "body": "<html>maintenance</html>"}),
    ] {
        let world = World::start().await;
        assert_eq!(world.ask(&payload_from(1)).await.0, 201);
        // The forecast is known, so that it is the contact that finds the token refused.
        world.cxone.control(Method::POST, "tokens/revoke", None).await;
        let mut fault = fault.clone();
        fault["route"] = json!("token");
        world.cxone.fault(fault.clone()).await;

        let (status, callback) = world.ask(&payload_from(2)).await;

        assert_eq!((status, code(&callback)), (202, "cxone-unavailable"), "{fault}: {callback}");
        let cancelled = world.post(&format!("/v1/callbacks/{}/cancel", text(&callback, "id")), &json!({})).await;
        assert_eq!(cancelled.status(), 200, "{fault}");
        world.cxone.heal().await;
        assert_eq!(world.settled(&text(&callback, "id")).await["status"], "cancelled", "{fault}");
        assert_eq!(world.cxone.contacts().await.len(), 1, "{fault}");
        world.end().await;
    }
}

#[tokio::test]
async fn statuses_408_421_425_and_unlisted_ones_are_retried() {
    let world = World::start().await;
    let mut asked = 0;
    for status in [402, 405, 408, 410, 418, 421, 425, 431, 451] {
        for route in ["forecast", "contact"] {
            asked += 1;
            let campaign = format!("campaign-{asked}");
            world.cxone.add_campaign(&campaign);
            world.cxone.fault(once(route, json!({"kind": "status", "status": status}))).await;
            let mut payload = payload_from(asked);
            payload["campaignId"] = json!(campaign);

            let (answered, callback) = world.ask(&payload).await;

            assert_eq!((answered, code(&callback)), (202, "cxone-outcome-unknown"), "{route} {status}: {callback}");
            let detail = text(&callback["failure"], "detail");
            assert!(detail.contains(&format!("status {status}")), "{route} {status}: {detail}");
        }
    }
    assert_eq!(world.cxone_condition().await, "ok", "CXone does answer");
    world.all_settled_without_delay().await;
    world.assert_each_done_once(asked).await;
    world.end().await;
}

#[tokio::test]
async fn one_404_of_a_gateway_is_not_final_and_two_are() {
    let world = World::start().await;
    for (n, route) in ["forecast", "contact"].into_iter().enumerate() {
        let page = "<html><h1>404 Not Found</h1></html>";
        let not_found = |times| json!({"route": route, "kind": "status", "status": 404, "body": page, "times": times});
        let payload = |n: usize| {
            let campaign = format!("campaign-{n}");
            world.cxone.add_campaign(&campaign);
            let mut payload = payload_from(n);
            payload["campaignId"] = json!(campaign);
            payload
        };
        world.cxone.fault(not_found(1)).await;
        assert_eq!(world.ask(&payload(n)).await.0, 201, "{route}");
        world.cxone.fault(not_found(2)).await;
        let (status, problem) = world.ask(&payload(10 + n)).await;
        assert_eq!((status, text(&problem, "type").as_str()), (422, "/problems/cxone-rejected"), "{route}");
    }
    world.end().await;
}

/// A pause that is asked for while callbacks run into a fault on these routes.
async fn pause_while_failing(routes: &[&str], fault: &Value) {
    let mut world = World::of_campaigns(&[]).await;
    let commands = world.key.clone();
    world.key = create_key(&world.database, &["callbacks:write", "callbacks:read", "audit:read"]).await;
    assert_eq!(world.ask(&payload_from(0)).await.0, 201);
    for route in routes {
        let mut fault = fault.clone();
        fault["route"] = json!(route);
        world.cxone.fault(fault).await;
    }
    let before = world.cxone.count(routes[0]).await;
    world.batch(&(1..80).map(payload_from).collect::<Vec<_>>()).await;
    // A back-off is one answer, a refused client two; the rest have time to open a breaker.
    let least = match fault["status"].as_u64() {
        Some(429) => 1,
        Some(401) => 2,
        _ => 5,
    };
    eventually("requests that fail", async || match world.cxone.count(routes[0]).await - before {
        failed if failed >= least => Ok(()),
        failed => Err(format!("{failed} of {}", routes[0])),
    })
    .await;

    world.key = commands;
    let (status, answer) = world.command("pause", &pause()).await;
    world.cxone.campaign_when(DIALING, "PAUSED").await;

    assert!(status == 200 || status == 202, "{routes:?} {fault}: {answer}");
    world.end().await;
}

#[tokio::test]
async fn while_contacts_or_messages_fail_a_pause_reaches_cxone() {
    for fault in [
        json!({"kind": "status", "status": 500}),
        json!({"kind": "hang"}),
        json!({"kind": "status", "status": 401}),
        json!({"kind": "status", "status": 429, "retryAfter": "40"}),
    ] {
        for routes in [&["contact"] as &[&str], &["message"], &["contact", "message"]] {
            pause_while_failing(routes, &fault).await;
        }
    }
}

#[tokio::test]
async fn a_failing_endpoint_is_named_and_others_continue() {
    let world = World::with(&[("CXONE_TIMEOUT_MS", "1000")]).await;
    assert_eq!(world.ask(&payload_from(0)).await.0, 201);
    world.cxone.fault(json!({"route": "contact", "kind": "drop"})).await;
    world.batch(&(1..8).map(payload_from).collect::<Vec<_>>()).await;
    let open =
        async |endpoint: &str| world.metric(&format!("ringback_cxone_breaker_open{{endpoint=\"{endpoint}\"}}")).await;
    eventually("an open breaker", async || match open("contacts").await {
        Some(1.0) => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;

    let condition = world.cxone_condition().await;
    assert!(condition.contains("does not respond: contacts;"), "{condition}");
    for endpoint in ["token", "campaigns", "forecast", "messages"] {
        assert_eq!(open(endpoint).await, Some(0.0), "{endpoint}");
    }
    world.cxone.heal().await;
    world.all_settled_without_delay().await;
    world.assert_each_done_once(8).await;
    world.end().await;
}

#[tokio::test]
async fn a_forecast_hour_that_cannot_be_parsed_is_skipped_and_a_fraction_is_a_number() {
    let world = World::start().await;
    let start: Timestamp = minutes_from_now(60).parse().unwrap();
    let first = Timestamp::from_second(start.as_second().div_euclid(3600) * 3600).unwrap();
    let hour = |hours: i64, agents: Value| json!({"hour": first + hours.hours(), "availableAgents": agents, "expectedCalls": 0.25});
    let bad = [json!(null), json!("7"), json!(-1), json!(1e300)];
    for (n, bad) in bad.into_iter().enumerate() {
        let campaign = format!("campaign-{n}");
        world.cxone.add_campaign(&campaign);
        let hours = json!([hour(-1, bad.clone()), null, hour(0, bad.clone()), hour(1, json!(2.5)), {"hour": "soon"}]);
        let path = format!("campaigns/{campaign}/forecast");
        world.cxone.control(Method::PUT, &path, Some(json!({"raw": {"forecast": hours}}))).await;
        let payload = payload_with(json!({
            "phoneNumber": crate::support::caller(n), "campaignId": campaign,
            "requestedStart": minutes_from_now(60), "requestedEnd": minutes_from_now(180),
        }));

        let (status, callback) = world.ask(&payload).await;

        assert_eq!(status, 201, "{bad}: {callback}");
        let at: Timestamp = text(&callback, "dispatchTime").parse().unwrap();
        assert!(first + 1.hour() <= at && at < first + 2.hours(), "{bad}: {at} is not in the hour that can be read");
    }
    world.end().await;
}

#[tokio::test]
async fn a_forecast_answers_only_for_the_hours_that_it_covers() {
    let world = World::start().await;
    let path = format!("campaigns/{CAMPAIGN}/forecast");
    let payload_in = |n: usize, from: i64| {
        payload_with(json!({
            "phoneNumber": crate::support::caller(n), "requestedStart": minutes_from_now(from),
            "requestedEnd": minutes_from_now(from + 60),
        }))
    };
    // CXone knows only the first hours yet.
    let soon: Timestamp = minutes_from_now(60).parse().unwrap();
    let first = Timestamp::from_second(soon.as_second().div_euclid(3600) * 3600).unwrap();
    let hours = |count: i64| {
        let hours = (0..count).map(|n| json!({"hour": first + n.hours(), "availableAgents": 5, "expectedCalls": 0}));
        json!({"hours": hours.collect::<Vec<_>>()})
    };
    world.cxone.control(Method::PUT, &path, Some(hours(2))).await;
    assert_eq!(world.ask(&payload_in(1, 60)).await.0, 201);
    assert_eq!(world.ask(&payload_in(2, 60)).await.0, 201);
    assert_eq!(world.cxone.count("forecast").await, 1);
    let (status, problem) = world.ask(&payload_in(3, 240)).await;
    assert_eq!((status, text(&problem, "type").as_str()), (422, "/problems/no-forecast"));

    // Now it knows the rest: what was empty is asked for again.
    world.cxone.control(Method::PUT, &path, Some(hours(8))).await;
    let (status, callback) = world.ask(&payload_in(4, 240)).await;

    assert_eq!(status, 201, "{callback}");
    assert_eq!(world.cxone.count("forecast").await, 3);
    world.end().await;
}

/// What a contact is made of.
struct Wanted {
    campaign: CampaignId,
    phone: PhoneNumber,
    language: Language,
    window: TimeWindow,
    trace: Traceparent,
}

impl Wanted {
    fn new() -> Self {
        let instant = |minutes| minutes_from_now(minutes).parse().unwrap();
        Self {
            campaign: CampaignId::parse(CAMPAIGN).unwrap(),
            phone: PhoneNumber::from_stored(CALLER.into()).unwrap(),
            language: Language::parse("en").unwrap(),
            window: TimeWindow::parse(instant(60), instant(120)).unwrap(),
            trace: Traceparent::root(Uuid::now_v7()),
        }
    }

    async fn contact(&self, client: &Client, milliseconds: i64) -> Result<ContactAnswer, CxoneError> {
        let contact = NewContact {
            callback_id: Uuid::now_v7(),
            may_exist: false,
            campaign_id: &self.campaign,
            skill: None,
            phone_number: &self.phone,
            at: self.window.start(),
            language: &self.language,
            window: self.window,
            send_by: Some(Timestamp::now() + milliseconds.milliseconds()),
            still_wanted: &|| std::future::ready(true),
        };
        client.create_contact(&contact, RequestContext { class: Class::Waiting, trace: &self.trace }).await
    }
}

#[tokio::test]
async fn a_request_that_cannot_be_sent_in_time_is_not_sent() {
    let (database, cxone) = (Database::create().await, Cxone::start().await);
    let client = client_of(&cxone, &database, 1000).await;
    let wanted = Wanted::new();
    let slow_token = once("token", json!({"kind": "latency", "latencyMs": 1000}));

    // The time passes while a token is fetched …
    cxone.fault(slow_token.clone()).await;
    assert_eq!(wanted.contact(&client, 300).await, Err(CxoneError::NotSentInTime));
    assert_eq!((cxone.count("token").await, cxone.count("contact").await), (1, 0));
    // … or a new one, after the first request was refused.
    cxone.control(Method::POST, "tokens/revoke", None).await;
    cxone.fault(slow_token).await;
    assert_eq!(wanted.contact(&client, 700).await, Err(CxoneError::NotSentInTime));
    assert_eq!((cxone.count("token").await, cxone.count("contact").await), (2, 1));
    let sms = Sms {
        reference: "reference",
        to: &wanted.phone,
        from: SmsSender::Number(&wanted.phone),
        callback_id: Uuid::now_v7(),
        message: "…",
        send_by: Some(Timestamp::now() - 1.millisecond()),
        still_wanted: &|| std::future::ready(true),
    };
    let context = RequestContext { class: Class::Waiting, trace: &wanted.trace };
    assert_eq!(client.send_sms(&sms, context).await, Err(CxoneError::NotSentInTime));
    assert_eq!(cxone.count("message").await, 0);

    assert!(matches!(wanted.contact(&client, 60_000).await, Ok(ContactAnswer::Created { .. })));
    drop(client);
    database.drop().await;
}
