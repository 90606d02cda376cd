//! What is accepted and what is refused, where it is placed, who stands in whose way: the rules of *Callbacks* in tables.

use futures::future::join_all;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::support::{
    CALLER, CAMPAIGN, INACTIVE_CAMPAIGN, World, caller, eventually, faults, instant, minutes_from_now, payload,
    payload_from, payload_with,
};

const MINUTE: SignedDuration = SignedDuration::from_mins(1);
const HOUR: SignedDuration = SignedDuration::from_hours(1);

/// Of what a test is not about, only what matters.
fn at(minutes: i64) -> Timestamp {
    minutes_from_now(minutes).parse().unwrap()
}

#[tokio::test]
async fn every_valid_form_of_each_member_is_accepted() {
    let world = World::start().await;
    let start = at(60);
    let end = start + HOUR;
    let in_new_york = |at: Timestamp| {
        at.to_zoned(TimeZone::get("America/New_York").unwrap()).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
    };
    let cases = [
        (json!({"requestedStart": in_new_york(start)}), "requestedStart", start.to_string()),
        (json!({"requestedEnd": in_new_york(end)}), "requestedEnd", end.to_string()),
        (json!({"requestedEnd": start + HOUR * 4}), "requestedEnd", (start + HOUR * 4).to_string()),
        // Half of the window is over, and there is still room to dial.
        (json!({"requestedStart": at(-60), "requestedEnd": at(60)}), "status", "scheduled".into()),
        (json!({"language": "es-419"}), "language", "es-419".into()),
        (json!({"language": "EN-us"}), "language", "en-US".into()),
        (json!({"timezone": "Asia/Kolkata"}), "timezone", "Asia/Kolkata".into()),
        (json!({"timezone": null}), "status", "scheduled".into()),
        (json!({"campaignId": "c".repeat(64)}), "campaignId", "c".repeat(64)),
        (json!({"campaignId": "A_z-0"}), "campaignId", "A_z-0".into()),
    ];

    for (n, (members, member, shown)) in cases.into_iter().enumerate() {
        let mut payload = payload_with(json!({"phoneNumber": caller(n), "requestedStart": start, "requestedEnd": end}));
        payload.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        world.cxone.add_campaign(payload["campaignId"].as_str().unwrap());
        let asked_at = Timestamp::now();
        let (status, callback) = world.ask(&payload).await;
        assert_eq!((status, &callback[member]), (201, &json!(shown)), "{members}: {callback}");
        let [start, dispatch, end] =
            ["requestedStart", "dispatchTime", "requestedEnd"].map(|name| instant(&callback[name]));
        assert!(start.max(asked_at) <= dispatch && dispatch <= end, "{members}: {callback}");
    }
    world.end().await;
}

#[tokio::test]
async fn every_invalid_form_of_each_member_is_refused_and_stores_nothing() {
    let world = World::start().await;
    let window = |start, end| json!({"requestedStart": at(start), "requestedEnd": at(end)});
    let deep: Value = serde_json::from_str(&format!("{}{}", "[".repeat(100), "]".repeat(100))).unwrap();
    let cases = [
        (json!({"phoneNumber": "not a number"}), "/phoneNumber not-a-phone-number"),
        (json!({"phoneNumber": "12"}), "/phoneNumber not-a-phone-number"),
        (json!({"phoneNumber": "+1202555019"}), "/phoneNumber not-a-phone-number"),
        (json!({"phoneNumber": ""}), "/phoneNumber not-a-phone-number"),
        (json!({"phoneNumber": "+1202\u{0}5550198"}), "/phoneNumber not-a-phone-number"),
        (json!({"phoneNumber": 12_025_550_198_u64}), "/phoneNumber wrong-type"),
        (json!({"phoneNumber": null}), "/phoneNumber required"),
        (window(60, 119), "/requestedEnd window-too-short"),
        (window(60, 301), "/requestedEnd window-too-long"),
        (window(60, 30), "/requestedEnd window-backwards"),
        (window(-120, -60), "/requestedEnd window-in-the-past"),
        (window(-61, 0), "/requestedEnd window-in-the-past"),
        (json!({"requestedStart": "tomorrow"}), "/requestedStart not-a-timestamp"),
        (json!({"requestedStart": "2026-11-20T15:00:00"}), "/requestedStart no-offset"),
        (json!({"requestedStart": 1_763_650_800}), "/requestedStart wrong-type"),
        (json!({"language": "klingon"}), "/language not-a-language"),
        (json!({"language": "en_US"}), "/language not-a-language"),
        (json!({"campaignId": ""}), "/campaignId not-a-campaign-id"),
        (json!({"campaignId": "c".repeat(65)}), "/campaignId not-a-campaign-id"),
        (json!({"campaignId": "a b"}), "/campaignId not-a-campaign-id"),
        (json!({"campaignId": "a\u{0}b"}), "/campaignId not-a-campaign-id"),
        (json!({"campaignId": {"deep": deep}}), "/campaignId wrong-type"),
        (json!({"timezone": "Mars/Olympus"}), "/timezone not-a-time-zone"),
        (json!({"colour": "red"}), "/colour unknown-member"),
        (json!({"a/b~c": 1}), "/a~1b~0c unknown-member"),
    ];

    for (members, expected) in cases {
        let answer = world.answer("/v1/callbacks", &payload_with(members.clone()), &[]).await;
        assert_eq!(answer.problem(), (422, "invalid-request"), "{members}");
        assert_eq!(faults(&answer.body), [expected], "{members}");
    }

    assert_eq!(world.get("/v1/callbacks").await, json!({"data": [], "nextCursor": null}));
    assert_eq!(world.get("/v1/audit?action=callback.accepted").await["data"], json!([]));
    assert_eq!(world.cxone.received("contact").await.len(), 0);
    world.end().await;
}

#[tokio::test]
async fn prefer_sets_the_wait_of_an_answer() {
    let world = World::with(&[("CALLBACK_WAIT_MS", "400")]).await;
    world.cxone.fault(json!({"route": "contact", "kind": "latency", "latencyMs": 1500})).await;

    let cases = [
        (1, Some("respond-async"), 202),
        (2, Some("wait=0"), 202),
        (3, Some("wait=1"), 202),
        (4, None, 202),
        (5, Some("wait=soon"), 202),
        (6, Some("wait=30"), 201),
        (7, Some("respond-async, wait=30"), 201),
    ];
    let asked = cases.map(async |(n, prefer, expected)| {
        let headers: Vec<_> = prefer.map(|prefer| ("prefer", prefer)).into_iter().collect();
        let answer = world.answer("/v1/callbacks", &payload_from(n), &headers).await;
        assert_eq!(answer.status, expected, "{prefer:?}: {answer:?}");
        let id = answer.body["id"].as_str().unwrap();
        assert_eq!(answer.header("location"), Some(format!("/v1/callbacks/{id}").as_str()), "{prefer:?}");
        assert_eq!(answer.header("retry-after").is_some(), expected == 202, "{prefer:?}");
        world.settled(id).await
    });
    for callback in join_all(asked).await {
        assert_eq!((&callback["status"], &callback["confirmation"]["status"]), (&json!("scheduled"), &json!("sent")));
    }

    // What a POST waits for is the contact: for the text it waits no longer than its caller wants to.
    world.cxone.heal().await;
    world.cxone.fault(json!({"route": "message", "kind": "hang", "times": 1})).await;
    let (status, callback) = world.ask_with(&payload_from(8), &[("prefer", "wait=1")]).await;
    assert_eq!((status, &callback["confirmation"]["status"]), (201, &json!("pending")));
    world.end().await;
}

#[tokio::test]
async fn texts_default_to_english_and_the_default_zone() {
    let world =
        World::with(&[("DEFAULT_TIMEZONE", "Asia/Tokyo"), ("DEFAULT_REGION", "GB"), ("SMS_FROM", "+442079460111")])
            .await;

    let (status, callback) = world.ask(&payload_with(json!({"phoneNumber": "07911 123456", "language": "tlh"}))).await;

    assert_eq!((status, &callback["phoneNumber"]), (201, &json!("+447911123456")), "{callback}");
    let sent = &world.cxone.messages().await[0];
    let text = sent["message"].as_str().unwrap();
    assert!(text.starts_with("Your callback is confirmed for ") && text.contains("GMT+9"), "{text}");
    assert_eq!(sent["from"], "+442079460111");
    world.end().await;
}

#[tokio::test]
async fn a_duplicate_is_an_open_callback_of_the_same_number_campaign_and_time() {
    let world = World::start().await;
    world.cxone.add_campaign("other");
    let (status, first) = world.ask(&payload()).await;
    assert_eq!(status, 201, "{first}");
    let window = |start, end| json!({"requestedStart": at(start), "requestedEnd": at(end)});

    for (members, expected) in [
        (json!({}), 409),
        (json!({"phoneNumber": "(202) 555-0198"}), 409),
        (json!({"language": "fr-FR", "timezone": "Europe/Paris"}), 409),
        (window(90, 180), 409),
        (window(10, 75), 409),
        (window(5, 240), 409),
        (json!({"campaignId": "other"}), 201),
        (json!({"phoneNumber": "+12025550199"}), 201),
        (window(121, 181), 201),
        // Windows that only touch do not overlap.
        (json!({"requestedStart": at(-5), "requestedEnd": first["requestedStart"]}), 201),
    ] {
        let answer = world.answer("/v1/callbacks", &payload_with(members.clone()), &[]).await;
        assert_eq!(answer.status, expected, "{members}: {}", answer.body);
        if expected == 409 {
            assert_eq!(answer.problem().1, "duplicate-callback", "{members}");
            assert_eq!(answer.body["existingId"], first["id"], "{members}");
        }
    }
    // One that has failed is not open any more.
    let failing = payload_with(json!({"campaignId": INACTIVE_CAMPAIGN}));
    for _ in 0..2 {
        assert_eq!(world.answer("/v1/callbacks", &failing, &[]).await.problem(), (422, "cxone-rejected"));
    }
    assert_eq!(world.contacts_of(CAMPAIGN).await.len(), 4);
    world.end().await;
}

#[tokio::test]
async fn a_callback_is_placed_in_the_hour_of_its_window_with_the_most_capacity() {
    let world = World::start().await;
    let first = Timestamp::from_second((at(0).as_second().div_euclid(3600) + 2) * 3600).unwrap();
    let hour = |index: i32| first + HOUR * index;
    // `(agents, calls)` of each hour from the first on; a call takes five minutes: twelve keep an agent busy.
    let cases: [(_, i32, &[(u32, u32)], _, _); 5] = [
        ("the-most-room", 0, &[(10, 96), (6, 12), (20, 200)], (0, 180), 1),
        ("the-earliest-of-equals", 0, &[(5, 24), (7, 48), (4, 12)], (0, 180), 0),
        ("never-outside", -1, &[(90, 0), (1, 0), (2, 0), (90, 0)], (0, 120), 1),
        ("an-hour-cut-by-the-window", 0, &[(9, 0), (3, 0)], (30, 120), 0),
        ("no-room-anywhere", 0, &[(1, 240), (1, 120)], (0, 120), 1),
    ];

    for (n, (campaign, from, hours, (start, end), expected)) in cases.into_iter().enumerate() {
        world.cxone.add_campaign(campaign);
        let hours = hours.iter().zip(from..).map(
            |((agents, calls), index)| json!({"hour": hour(index), "availableAgents": agents, "expectedCalls": calls}),
        );
        let forecast = json!({"hours": hours.collect::<Vec<_>>()});
        world.cxone.control(reqwest::Method::PUT, &format!("campaigns/{campaign}/forecast"), Some(forecast)).await;
        let (start, end) = (first + MINUTE * start, first + MINUTE * end);
        let payload = payload_with(json!({"phoneNumber": caller(n), "campaignId": campaign,
            "requestedStart": start, "requestedEnd": end}));
        let (status, callback) = world.ask(&payload).await;
        assert_eq!(status, 201, "{campaign}: {callback}");
        let dispatch = instant(&callback["dispatchTime"]);
        let (earliest, latest) = (hour(expected).max(start), hour(expected + 1).min(end));
        assert!(earliest <= dispatch && dispatch <= latest, "{campaign}: {dispatch}");
    }
    world.end().await;
}

#[tokio::test]
async fn a_callback_cancelled_during_its_attempt_is_not_called() {
    let world = World::start().await;
    let cancel = async |id: &str| world.answer(&format!("/v1/callbacks/{id}/cancel"), &json!({}), &[]).await;
    world.cxone.fault(json!({"route": "forecast", "kind": "latency", "latencyMs": 1000, "times": 1})).await;
    let id = world.accept(&payload()).await;
    world.cxone.wait_for_request("forecast").await;

    let cancelled = cancel(&id).await;
    let (status, anew) = world.ask(&payload()).await;
    eventually("the answer that the cancelled attempt waits for", async || {
        let asked = world.cxone.received("forecast").await;
        if asked[0]["status"] == 200 { Ok(()) } else { Err(asked[0].to_string()) }
    })
    .await;

    assert_eq!((cancelled.status, &cancelled.body["status"]), (200, &json!("cancelled")));
    assert_eq!((status, &anew["phoneNumber"]), (201, &json!(CALLER)), "{anew}");
    assert_eq!(cancel(anew["id"].as_str().unwrap()).await.problem(), (409, "already-scheduled"));
    let kept = world.get(&format!("/v1/callbacks/{id}")).await;
    assert_eq!(kept, cancelled.body);
    assert_eq!((world.cxone.contacts().await.len(), world.cxone.messages().await.len()), (1, 1));

    let (_, failed) = world.ask(&payload_with(json!({"campaignId": INACTIVE_CAMPAIGN}))).await;
    assert_eq!(cancel(failed["callbackId"].as_str().unwrap()).await.problem(), (409, "already-ended"));
    for unknown in ["no-uuid", "%00", "%FF"] {
        assert_eq!(cancel(unknown).await.problem(), (404, "not-found"), "{unknown}");
    }
    world.end().await;
}

/// Of two that exclude each other, the client of a batch expects the first to be accepted.
#[tokio::test]
async fn of_two_duplicates_in_a_batch_the_first_is_accepted() {
    let world = World::start().await;
    let pairs: Vec<Value> = (0..10).chain(0..10).map(payload_from).collect();

    let answer = world.answer("/v1/callbacks/batch", &json!({ "callbacks": pairs }), &[]).await;

    let results = answer.body["results"].as_array().unwrap();
    for (first, second) in results[..10].iter().zip(&results[10..]) {
        assert!(first["id"].is_string(), "{first}");
        assert_eq!(second["problem"]["existingId"], first["id"], "{second}");
    }
    world.end().await;
}

#[tokio::test]
async fn filters_select_callbacks_newest_first() {
    let world = World::start().await;
    world.cxone.add_campaign("other");
    let ids = [
        world.ask(&payload_from(1)).await.1["id"].clone(),
        world.ask(&payload_with(json!({"phoneNumber": caller(1), "campaignId": "other"}))).await.1["id"].clone(),
        world.ask(&payload_from(2)).await.1["id"].clone(),
        world.ask(&payload_with(json!({"campaignId": INACTIVE_CAMPAIGN}))).await.1["callbackId"].clone(),
    ];
    let third = world.get(&format!("/v1/callbacks/{}", ids[2].as_str().unwrap())).await;
    let created = third["createdAt"].as_str().unwrap();

    for (query, expected) in [
        (String::new(), vec![3, 2, 1, 0]),
        ("status=failed".into(), vec![3]),
        ("status=scheduled&campaignId=other".into(), vec![1]),
        (format!("campaignId={CAMPAIGN}"), vec![2, 0]),
        ("phoneNumber=%2B12025000001".into(), vec![1, 0]),
        ("phoneNumber=(202)%20500-0001".into(), vec![1, 0]),
        (format!("from={created}"), vec![3, 2]),
        (format!("to={created}"), vec![1, 0]),
        ("status=cancelled".into(), vec![]),
    ] {
        let page = world.get(&format!("/v1/callbacks?{query}")).await;
        let shown: Vec<_> = page["data"].as_array().unwrap().iter().map(|callback| callback["id"].clone()).collect();
        let expected: Vec<_> = expected.into_iter().map(|index: usize| ids[index].clone()).collect();
        assert_eq!((shown, &page["nextCursor"]), (expected, &Value::Null), "{query}");
    }
    for (query, fault) in [
        ("status=open", "/status unknown-status"),
        ("campaignId=a%20b", "/campaignId not-a-campaign-id"),
        ("phoneNumber=x", "/phoneNumber not-a-phone-number"),
        ("from=yesterday", "/from not-a-timestamp"),
        ("limit=201", "/limit out-of-range"),
        ("limit=1&limit=2", "/limit repeated"),
        ("cursor=bm9uc2Vuc2U", "/cursor not-a-cursor"),
        ("colour=red", "/colour unknown-parameter"),
    ] {
        let answer =
            crate::support::Answer::to(world.request(reqwest::Method::GET, &format!("/v1/callbacks?{query}"))).await;
        assert_eq!(answer.problem(), (422, "invalid-request"), "{query}");
        assert_eq!(faults(&answer.body), [fault], "{query}");
    }
    world.end().await;
}
