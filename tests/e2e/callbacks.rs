//! The main job, line by line of the contract's *Callbacks*.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{
    CALLER, CAMPAIGN, Received, Receiver, Service, World, create_key, payload, payload_from, payload_with,
};

/// The hour that an instant lies in.
fn hour_of(at: &Value) -> Timestamp {
    let second = at.as_str().unwrap().parse::<Timestamp>().unwrap().as_second();
    Timestamp::from_second(second - second.rem_euclid(3600)).unwrap()
}

/// A forecast with so many agents in each hour from the next full one on, and no calls.
async fn forecast(world: &World, agents: &[u32]) -> Vec<Timestamp> {
    let next = hour_of(&json!(Timestamp::now())) + SignedDuration::from_hours(1);
    let hours: Vec<Timestamp> = (0..).map(|n| next + SignedDuration::from_hours(n)).take(agents.len()).collect();
    let listed: Vec<Value> = hours
        .iter()
        .zip(agents)
        .map(|(hour, agents)| json!({"hour": hour, "availableAgents": agents, "expectedCalls": 0}))
        .collect();
    let path = format!("campaigns/{CAMPAIGN}/forecast");
    world.cxone.control(Method::PUT, &path, Some(json!({"hours": listed}))).await;
    hours
}

/// A window of four hours from the next full hour on, for the n-th caller.
fn afternoon(hours: &[Timestamp], n: usize) -> Value {
    payload_with(json!({
        "phoneNumber": format!("+12025550{:03}", 100 + n),
        "requestedStart": hours[0], "requestedEnd": hours[0] + SignedDuration::from_hours(4),
    }))
}

#[tokio::test]
async fn a_callback_is_scheduled_and_confirmed_by_a_text() {
    let world = World::start().await;

    let (status, callback) = world.ask(&payload()).await;

    assert_eq!(
        (status, &callback["status"], &callback["confirmation"]["status"]),
        (201, &json!("scheduled"), &json!("sent"))
    );
    let id = callback["id"].as_str().unwrap();
    let contacts = world.cxone.contacts().await;
    let contact = &contacts[0]["contact"];
    assert_eq!(contacts.len(), 1);
    assert_eq!(contact["contactId"], callback["contactId"]);
    assert_eq!((&contact["phone"], &contact["campaignId"]), (&json!(CALLER), &json!(CAMPAIGN)));
    assert_eq!(contact["scheduledStartDateTime"], callback["dispatchTime"]);
    let at = |name: &str| callback[name].as_str().unwrap().parse::<Timestamp>().unwrap();
    assert!(at("requestedStart") <= at("dispatchTime") && at("dispatchTime") <= at("requestedEnd"));
    let messages = world.cxone.messages().await;
    assert_eq!(messages.len(), 1);
    let text = messages[0]["message"].as_str().unwrap();
    assert!(text.starts_with("Your callback is confirmed for "), "{text}");
    assert!(text.ends_with(&format!(". Reference: {}", callback["contactId"].as_str().unwrap())), "{text}");
    assert_eq!(world.audited(id).await, ["callback.accepted", "callback.scheduled", "callback.confirmed"]);
    world.end().await;
}

#[tokio::test]
async fn national_phone_numbers_are_accepted_and_returned_as_e164() {
    let world = World::start().await;
    for (sent, e164) in [
        ("2025550123", "+12025550123"),
        ("(202) 555-0124", "+12025550124"),
        ("1-202-555-0125", "+12025550125"),
        ("+44 20 7946 0958", "+442079460958"),
    ] {
        let (status, callback) = world.ask(&payload_with(json!({"phoneNumber": sent}))).await;
        assert_eq!((status, &callback["phoneNumber"]), (201, &json!(e164)), "{sent}");
    }
    world.end().await;
}

#[tokio::test]
async fn an_async_request_returns_the_location_of_the_callback() {
    let world = World::start().await;

    let request = world.request(Method::POST, "/v1/callbacks").header("prefer", "respond-async").json(&payload());
    let answer = request.send().await.unwrap();

    assert_eq!(answer.status(), 202);
    assert_eq!(answer.headers()["preference-applied"], "respond-async");
    assert!(answer.headers().contains_key("retry-after"));
    let location = answer.headers()["location"].to_str().unwrap().to_owned();
    let callback: Value = answer.json().await.unwrap();
    assert_eq!(location, format!("/v1/callbacks/{}", callback["id"].as_str().unwrap()));
    assert_eq!(world.settled(callback["id"].as_str().unwrap()).await["confirmation"]["status"], "sent");
    world.end().await;
}

#[tokio::test]
async fn the_text_is_in_the_callers_language_and_in_the_zone_of_the_request_or_of_the_number() {
    let world = World::start().await;
    for (number, asked, source, zones) in [
        ("+12025550198", json!({"language": "es-US", "timezone": "America/Los_Angeles"}), "request", ["PST", "PDT"]),
        ("+12135550147", json!({"language": "es-US"}), "phone-number", ["PST", "PDT"]),
        // A mobile number in a country with several zones.
        ("+34612345678", json!({"language": "es-US"}), "default", ["UTC", "UTC"]),
    ] {
        let mut asked = payload_with(asked);
        asked["phoneNumber"] = json!(number);

        let (_, callback) = world.ask(&asked).await;

        assert_eq!(callback["timezoneSource"], source, "{callback}");
        let texts = world.cxone.messages().await;
        let text = texts.last().unwrap()["message"].as_str().unwrap();
        assert!(zones.iter().any(|zone| text.contains(zone)) && !text.contains("Your callback"), "{text}");
    }
    world.end().await;
}

#[tokio::test]
async fn two_replicas_that_place_at_once_fill_the_hours_with_the_most_room_first() {
    let mut world = World::start().await;
    let hours = forecast(&world, &[4, 5, 3, 4]).await;
    let other = Service::start(&world.database, &world.cxone, &[]).await;
    world.key = create_key(&world.database, &["callbacks:write", "callbacks:read"]).await;

    // A callback takes five minutes, a twelfth of an agent's hour: 40 of them take what lies above level ground.
    let posts = (0..40).map(|n| {
        let base_url = if n % 2 == 0 { &world.service.base_url } else { &other.base_url };
        let asked = afternoon(&hours, n);
        let request = world.http.post(format!("{base_url}/v1/callbacks")).bearer_auth(&world.key);
        async move { request.json(&asked).send().await.unwrap().json::<Value>().await.unwrap() }
    });
    let posted = futures::future::join_all(posts).await;
    let mut placed = Vec::new();
    for callback in &posted {
        placed.push(world.settled(callback["id"].as_str().unwrap()).await);
    }

    let mut agents_left = HashMap::from([(hours[0], 48), (hours[1], 60), (hours[2], 36), (hours[3], 48)]);
    for _ in 0..40 {
        let most = *hours.iter().max_by_key(|hour| (agents_left[hour], std::cmp::Reverse(**hour))).unwrap();
        *agents_left.get_mut(&most).unwrap() -= 1;
    }
    for callback in &placed {
        *agents_left.entry(hour_of(&callback["dispatchTime"])).or_default() += 1;
    }
    assert_eq!(agents_left, HashMap::from([(hours[0], 48), (hours[1], 60), (hours[2], 36), (hours[3], 48)]));
    let mut times: Vec<&str> = placed.iter().map(|callback| callback["dispatchTime"].as_str().unwrap()).collect();
    times.sort_unstable();
    times.dedup();
    assert_eq!(times.len(), 40, "callbacks are spread over their hours");
    other.kill().await;
    world.end().await;
}

#[tokio::test]
async fn only_one_of_many_concurrent_callbacks_of_a_caller_is_accepted() {
    let world = World::start().await;
    let asked = payload();

    let answers = futures::future::join_all((0..20).map(|_| world.ask(&asked))).await;

    let accepted: Vec<_> = answers.iter().filter(|(status, _)| *status == 201).collect();
    assert_eq!(accepted.len(), 1);
    for (status, problem) in answers.iter().filter(|(status, _)| *status != 201) {
        assert_eq!((*status, &problem["type"]), (409, &json!("/problems/duplicate-callback")));
        assert_eq!(problem["existingId"], accepted[0].1["id"]);
    }
    let later = json!({"requestedStart": asked["requestedEnd"], "requestedEnd": crate::support::minutes_from_now(200)});
    let other_campaign = world.ask(&payload_with(json!({"campaignId": "nobody-knows"}))).await;
    assert_eq!(world.ask(&payload_with(later)).await.0, 201, "a window that only touches does not overlap");
    assert_eq!(other_campaign.0, 422, "another campaign is no duplicate: CXone was asked, and refused");
    world.end().await;
}

#[tokio::test]
async fn a_callback_can_be_cancelled_until_cxone_has_its_contact() {
    let world = World::start().await;
    let (_, scheduled) = world.ask(&payload_with(json!({"phoneNumber": "+12025550123"}))).await;
    world.cxone.fault(json!({"route": "contact", "kind": "status", "status": 503})).await;
    let (_, waiting) = world.ask(&payload()).await;
    let cancel = async |id: &Value| {
        let answer = world.post(&format!("/v1/callbacks/{}/cancel", id.as_str().unwrap()), &json!({})).await;
        (answer.status().as_u16(), answer.json::<Value>().await.unwrap())
    };

    let too_late = cancel(&scheduled["id"]).await;
    let in_time = cancel(&waiting["id"]).await;
    let again = cancel(&waiting["id"]).await;
    let unknown = cancel(&json!("01a1fcff-84aa-720d-83ca-60abacb44d8c")).await;
    world.cxone.heal().await;
    let anew = world.ask(&payload()).await;

    assert_eq!((too_late.0, &too_late.1["type"]), (409, &json!("/problems/already-scheduled")));
    assert_eq!((in_time.0, &in_time.1["status"]), (200, &json!("cancelled")));
    assert_eq!((again.0, &again.1["status"]), (200, &json!("cancelled")));
    assert_eq!(unknown.0, 404);
    assert_eq!(anew.0, 201, "a cancelled callback stands in nobody's way");
    assert_eq!(world.audited(waiting["id"].as_str().unwrap()).await, ["callback.accepted", "callback.cancelled"]);
    world.end().await;
}

#[tokio::test]
async fn each_callback_of_a_batch_is_accepted_or_refused_on_its_own() {
    let world = World::start().await;
    let number = |number: &str| payload_with(json!({"phoneNumber": number}));
    let batch = json!({"callbacks": [
        number("+12025550123"), number("12"), number("(202) 555-0123"), 7, number("+12025550124"),
    ]});

    let answer: Value = world.post("/v1/callbacks/batch", &batch).await.json().await.unwrap();
    let mut refused = Vec::new();
    for body in
        [json!({"callbacks": []}), json!({"callbacks": vec![json!({}); 1001]}), json!({}), json!({"callback": 1})]
    {
        refused.push(world.post("/v1/callbacks/batch", &body).await.status().as_u16());
    }

    let results = answer["results"].as_array().unwrap();
    let slugs: Vec<_> = results.iter().map(|result| result["problem"]["type"].as_str().unwrap_or("kept")).collect();
    assert!(results.iter().enumerate().all(|(index, result)| result["index"] == index));
    assert_eq!(slugs.iter().filter(|slug| **slug == "kept").count(), 2);
    assert_eq!((slugs[1], slugs[3], slugs[4]), ("/problems/invalid-request", "/problems/invalid-request", "kept"));
    assert_eq!((slugs[0], slugs[2]), ("kept", "/problems/duplicate-callback"), "the first of two equals is kept");
    assert_eq!(refused, [422, 422, 422, 422]);
    assert_eq!(results[1]["problem"]["instance"], "/v1/callbacks/batch");
    assert!(results[1]["problem"]["requestId"].is_string());
    for result in results.iter().filter(|result| result["id"].is_string()) {
        assert_eq!(world.settled(result["id"].as_str().unwrap()).await["confirmation"]["status"], "sent");
    }
    world.end().await;
}

#[tokio::test]
async fn an_external_id_and_metadata_are_returned_filtered_and_sent_but_not_logged() {
    let world = World::of_webhooks(&[("RUST_LOG", "debug")]).await;
    let receiver = Receiver::start(&[]).await;
    world.hook_at(&receiver).await;
    let given = json!({"externalId": "ticket/Hopper", "metadata": {"zz": "Ada Löw", "caseNumber_1": "Enigma"}});

    let (status, callback) = world.ask(&payload_with(given.clone())).await;
    let (_, plain) = world.ask(&payload_from(1)).await;
    let id = callback["id"].as_str().unwrap();
    let found = world.get(&format!("/v1/callbacks/{id}")).await;
    let listed = world.get("/v1/callbacks?externalId=ticket%2FHopper").await;
    let unlisted = world.get("/v1/callbacks?externalId=ticket").await;
    let events = receiver.received_when(4).await;
    let audit = world.get(&format!("/v1/audit?callbackId={id}")).await.to_string();
    let log = world.service.log_at_end().await;

    assert_eq!((status, found["status"].as_str()), (201, Some("scheduled")), "{callback}");
    let events: Vec<Value> = events.iter().map(Received::event).collect();
    let of = |id: &Value| events.iter().filter(|event| event["callbackId"] == *id).collect::<Vec<_>>();
    let (with_both, with_none) = (of(&callback["id"]), of(&plain["id"]));
    assert_eq!((with_both.len(), with_none.len()), (2, 2));
    for shown in [&callback, &found, &listed["data"][0]].into_iter().chain(with_both) {
        assert_eq!((&shown["externalId"], &shown["metadata"]), (&given["externalId"], &given["metadata"]), "{shown}");
    }
    for shown in with_none.into_iter().chain([&plain]) {
        assert_eq!(
            (shown.get("externalId"), shown.get("metadata")),
            (Some(&Value::Null), Some(&Value::Null)),
            "{shown}"
        );
    }
    assert_eq!((listed["data"].as_array().unwrap().len(), &unlisted["data"]), (1, &json!([])));
    assert!(log.contains("callback confirmed"), "{log}");
    for text in ["Hopper", "Ada", "Löw", "Enigma", "caseNumber"] {
        assert!(!log.contains(text), "{text} is in the log");
        assert!(!audit.contains(text), "{text} is in the audit log");
    }
    world.database.drop().await;
}

#[tokio::test]
async fn a_batch_item_with_the_external_id_of_an_open_callback_returns_it() {
    let mut world = World::start().await;
    let asked = |n: usize, external_id: &str| {
        let mut asked = payload_from(n);
        asked["externalId"] = json!(external_id);
        asked
    };
    let (_, single) = world.ask(&asked(0, "a")).await;
    let batch = json!({"callbacks": [asked(0, "a"), asked(9, "b"), asked(3, "b"), asked(4, ""), payload_from(5)]});

    let first: Value = world.post("/v1/callbacks/batch", &batch).await.json().await.unwrap();
    let again: Value = world.post("/v1/callbacks/batch", &batch).await.json().await.unwrap();
    world.key = create_key(&world.database, &["callbacks:write", "callbacks:read"]).await;
    let other = json!({"callbacks": [asked(6, "b"), asked(0, "a")]});
    let other: Value = world.post("/v1/callbacks/batch", &other).await.json().await.unwrap();

    let results = &first["results"];
    assert_eq!(results[0], json!({"index": 0, "id": single["id"]}));
    assert_eq!(results[2], json!({"index": 2, "id": results[1]["id"]}));
    assert_eq!(results[3]["problem"]["errors"][0]["pointer"], "/externalId");
    assert!(results[4]["id"].is_string(), "{results}");
    assert_eq!(again["results"].as_array().unwrap()[..3], results.as_array().unwrap()[..3]);
    assert_eq!(again["results"][3]["problem"]["errors"], results[3]["problem"]["errors"]);
    assert_eq!(again["results"][4]["problem"]["existingId"], results[4]["id"]);
    let others = &other["results"];
    assert!(others[0]["id"].is_string() && others[0]["id"] != results[1]["id"], "{others}");
    assert_eq!(others[1]["problem"]["existingId"], single["id"], "the external id of another API key does not count");
    world.end().await;
}

#[tokio::test]
async fn a_repeated_batch_finds_the_items_that_it_stored_even_if_they_have_ended() {
    let world = World::start().await;
    world.cxone.fault(json!({"route": "contact", "kind": "status", "status": 503})).await;
    let asked = [1, 2].map(|n| {
        let mut asked = payload_from(n);
        asked["externalId"] = json!("a");
        asked
    });
    let post =
        async || world.answer("/v1/callbacks/batch", &json!({"callbacks": asked}), &[("idempotency-key", "k")]).await;
    let first = post().await;
    let id = first.body["results"][0]["id"].as_str().unwrap().to_owned();
    world.callback_when(&id, |callback| !callback["failure"].is_null()).await;
    let cancelled = world.answer(&format!("/v1/callbacks/{id}/cancel"), &json!({}), &[]).await;
    let lost = "update idempotency_keys set answer_status = null, answer_headers = null, answer_body = null,
                leased_until = now() - interval '1 second' where key = 'k'";
    world.database.run(lost).await;

    let again = post().await;

    assert_eq!((cancelled.status, again.header("idempotency-replayed")), (200, None), "{cancelled:?} {again:?}");
    assert_eq!(first.body["results"], json!([{"index": 0, "id": id}, {"index": 1, "id": id}]));
    assert_eq!(again.body, first.body);
    world.end().await;
}
