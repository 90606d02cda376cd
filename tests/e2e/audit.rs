//! The audit log: what it says of a callback, and what it answers to those who ask.

use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{
    Answer, BINARY, CAMPAIGN, INACTIVE_CAMPAIGN, World, caller, create_key_with, faults, instant, payload_from,
    payload_with,
};

#[tokio::test]
async fn a_callback_can_be_followed_from_the_post_to_its_text() {
    let world = World::start().await;
    let (_, callback) = world.ask_with(&payload_from(1), &[("x-request-id", "ivr-call-42")]).await;

    let log = world.get(&format!("/v1/audit?callbackId={}", callback["id"].as_str().unwrap())).await;

    let entries = log["data"].as_array().unwrap();
    let mut members: Vec<_> = entries[0].as_object().unwrap().keys().map(String::as_str).collect();
    members.sort_unstable();
    assert_eq!(
        members.join(" "),
        "action actor answerRate callVolumeAfter callVolumeBefore callbackId campaignId complianceHold detail id \
         latencyMs newState outcome previousState requestId timestamp triggeredBy"
    );
    let shown: Vec<_> = entries
        .iter()
        .rev()
        .map(|entry| {
            let text = |name: &str| entry[name].as_str().unwrap_or("-").to_owned();
            let actor =
                format!("{}:{}", entry["actor"]["type"].as_str().unwrap(), entry["actor"]["name"].as_str().unwrap());
            [text("action"), actor, text("outcome"), text("previousState"), text("newState")].join(" ")
        })
        .collect();
    assert_eq!(
        shown,
        [
            "callback.accepted api_key:test succeeded - accepted",
            "callback.scheduled system:ringback succeeded accepted scheduled",
            "callback.confirmed system:ringback succeeded scheduled scheduled",
        ]
    );
    for entry in entries {
        assert_eq!((&entry["requestId"], &entry["campaignId"]), (&json!("ivr-call-42"), &json!(CAMPAIGN)));
        assert_eq!(entry["detail"]["phoneNumber"], "+1202•••0001");
        assert!(entry["latencyMs"].as_i64().unwrap() >= 0);
    }
    assert!(entries.windows(2).all(|pair| instant(&pair[0]["timestamp"]) >= instant(&pair[1]["timestamp"])));
    world.end().await;
}

#[tokio::test]
async fn filters_select_audit_entries_and_pages_contain_each_entry_once() {
    let mut world = World::start().await;
    let other = create_key_with(BINARY.as_ref(), &world.database.url, &["callbacks:write"]).await;
    join_all((0..5).map(async |n| world.ask(&payload_from(n)).await)).await;
    let failing = payload_with(json!({"phoneNumber": caller(5), "campaignId": INACTIVE_CAMPAIGN}));
    let id = world.ask(&failing).await.1["callbackId"].as_str().unwrap().to_owned();
    let own = std::mem::replace(&mut world.key, other);
    world.ask(&payload_from(6)).await;
    world.key = own;
    let actor = "action=callback.accepted&limit=1";
    let other = world.get(&format!("/v1/audit?{actor}")).await["data"][0]["actor"]["id"].as_str().unwrap().to_owned();
    let failed_at = world.get("/v1/audit?action=callback.failed").await["data"][0]["timestamp"].clone();
    let failed_at = failed_at.as_str().unwrap();

    // A key made, five callbacks of three steps, one of two, and one more of three.
    for (query, expected) in [
        ("limit=200".to_owned(), 21),
        ("action=callback.accepted".into(), 7),
        ("outcome=failed".into(), 1),
        (format!("campaignId={INACTIVE_CAMPAIGN}"), 2),
        (format!("callbackId={id}"), 2),
        (format!("callbackId={id}&outcome=failed"), 1),
        (format!("actor={other}"), 1),
        ("actor=cli".into(), 1),
        ("actor=callbacks".into(), 13),
        (format!("action=callback.failed&from={failed_at}"), 1),
        (format!("action=callback.failed&to={failed_at}"), 0),
        ("action=callback.expired".into(), 0),
    ] {
        let log = world.get(&format!("/v1/audit?{query}")).await;
        assert_eq!(log["data"].as_array().unwrap().len(), expected, "{query}: {log}");
    }
    for (query, fault) in [
        ("outcome=perhaps", "/outcome unknown-outcome"),
        ("callbackId=7", "/callbackId not-an-id"),
        ("from=yesterday", "/from not-a-timestamp"),
        ("colour=red", "/colour unknown-parameter"),
        ("action=%00", "/action out-of-range"),
    ] {
        let answer = Answer::to(world.request(Method::GET, &format!("/v1/audit?{query}"))).await;
        assert_eq!((answer.problem().0, faults(&answer.body)), (422, vec![fault.to_owned()]), "{query}");
    }

    let (mut seen, mut cursor, mut pages) = (Vec::new(), String::new(), 0);
    loop {
        let page = world.get(&format!("/v1/audit?limit=5&cursor={cursor}")).await;
        seen.extend(page["data"].as_array().unwrap().iter().map(|entry| entry["id"].clone()));
        // What comes in meanwhile is newer than all pages to come.
        world.ask(&payload_from(10 + pages)).await;
        pages += 1;
        match page["nextCursor"].as_str() {
            Some(next) => next.clone_into(&mut cursor),
            None => break,
        }
    }
    let all: Vec<Value> = world.get("/v1/audit?limit=200").await["data"].as_array().unwrap().clone();
    let before: Vec<_> = all[all.len() - 21..].iter().map(|entry| entry["id"].clone()).collect();
    assert_eq!((pages, seen), (5, before));
    world.end().await;
}
