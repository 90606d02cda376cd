//! Processes come and go: replicas that die, replicas that stop, many callbacks in the middle of it.

use futures::future::join_all;
use serde_json::{Value, json};

use crate::support::{Service, World, eventually, payload, payload_from};

#[tokio::test]
async fn after_a_kill_every_callback_has_one_contact_and_at_most_one_text() {
    let mut world = World::start().await;
    world.cxone.fault(json!({"route": "message", "kind": "latency", "latencyMs": 300})).await;
    let ids = join_all((0..60).map(async |n| world.accept(&payload_from(n)).await)).await;
    eventually("some texts", async || {
        let sent = world.cxone.messages().await.len();
        if sent > 5 { Ok(()) } else { Err(format!("{sent} sent")) }
    })
    .await;

    world.service.kill().await;
    world.database.end_leases().await;
    world.service = Service::start(&world.database, &world.cxone, &[]).await;

    let mut unknown = 0;
    let messages = async |callback: &Value| {
        let to = callback["phoneNumber"].as_str().unwrap();
        world.messages_to(to).await.len()
    };
    for id in &ids {
        let callback = world.settled(id).await;
        assert_eq!(callback["status"], "scheduled", "{callback}");
        match callback["confirmation"]["status"].as_str().unwrap() {
            "sent" => assert_eq!(messages(&callback).await, 1, "{callback}"),
            "unknown" => {
                unknown += 1;
                assert!(messages(&callback).await <= 1, "{callback}");
            }
            other => panic!("{other}: {callback}"),
        }
    }
    assert_eq!(world.cxone.contacts().await.len(), ids.len());
    assert!(unknown < ids.len(), "only what was in the middle of its text is unknown");
    world.end().await;
}

#[tokio::test]
async fn after_a_kill_before_the_text_the_confirmation_is_not_sent() {
    let mut world = World::start().await;
    world.cxone.fault(json!({"route": "message", "kind": "hang"})).await;
    let id = world.accept(&payload()).await;
    world.cxone.wait_for_request("message").await;

    world.service.kill().await;
    world.cxone.heal().await;
    world.database.end_leases().await;
    world.service = Service::start(&world.database, &world.cxone, &[]).await;

    let callback = world.settled(&id).await;
    assert_eq!((&callback["status"], &callback["confirmation"]["status"]), (&json!("scheduled"), &json!("unknown")));
    assert_eq!(callback["failure"]["code"], "sms-outcome-unknown");
    assert_eq!((world.cxone.contacts().await.len(), world.cxone.messages().await.len()), (1, 0));
    let log = world.get(&format!("/v1/audit?callbackId={id}&outcome=unknown")).await;
    assert_eq!(log["data"][0]["action"], "callback.confirmation_failed");
    world.end().await;
}

#[tokio::test]
async fn the_callbacks_of_a_killed_replica_are_finished_by_another() {
    let mut world = World::start().await;
    world.cxone.fault(json!({"route": "contact", "kind": "hang", "times": 1})).await;
    let id = world.accept(&payload()).await;
    world.cxone.wait_for_request("contact").await;
    let other = Service::start(&world.database, &world.cxone, &[]).await;

    std::mem::replace(&mut world.service, other).kill().await;
    world.database.end_leases().await;

    let callback = world.settled(&id).await;
    assert_eq!((&callback["confirmation"]["status"], &callback["attempts"]), (&json!("sent"), &json!(2)));
    assert_eq!((world.cxone.contacts().await.len(), world.cxone.messages().await.len()), (1, 1));
    world.end().await;
}

#[tokio::test]
async fn an_attempt_that_lost_its_lease_overwrites_nothing() {
    let world = World::start().await;
    let other = Service::start(&world.database, &world.cxone, &[]).await;
    world.cxone.fault(json!({"route": "contact", "kind": "latency", "latencyMs": 3000, "times": 1})).await;
    let id = world.accept(&payload()).await;
    world.cxone.wait_for_request("contact").await;

    // The lease ends under an attempt that is only slow: someone else takes the callback over and finishes it.
    world.database.end_leases().await;
    let finished = world.settled(&id).await;
    eventually("the answer that the slow attempt waits for", async || {
        let asked = world.cxone.received("contact").await;
        if asked[0]["status"].is_null() { Err(asked[0].to_string()) } else { Ok(()) }
    })
    .await;

    assert_eq!(finished["confirmation"]["status"], "sent", "{finished}");
    assert_eq!((world.cxone.contacts().await.len(), world.cxone.messages().await.len()), (1, 1));
    // Whatever the slow one does with its answer, it is done by the time that its replica has drained.
    let status = world.service.terminate().await;
    assert!(status.success());
    let kept = world.http.get(format!("{}/v1/callbacks/{id}", other.base_url)).bearer_auth(&world.key);
    assert_eq!(kept.send().await.unwrap().json::<Value>().await.unwrap(), finished);
    assert_eq!((world.cxone.contacts().await.len(), world.cxone.messages().await.len()), (1, 1));
    other.kill().await;
    world.database.drop().await;
}

#[tokio::test]
async fn sigterm_answers_waiting_requests_and_finishes_running_callbacks() {
    let World { database, cxone, service, key, http } = World::start().await;
    cxone.fault(json!({"route": "*", "kind": "latency", "latencyMs": 700})).await;
    let (url, ready) = (format!("{}/v1/callbacks", service.base_url), format!("{}/readyz", service.base_url));
    let waiting: Vec<_> = (0..5)
        .map(|n| {
            let request = http.post(&url).bearer_auth(&key).header("prefer", "wait=30");
            tokio::spawn(request.json(&payload_from(n)).send())
        })
        .collect();
    eventually("five kept", async || {
        let kept = if cxone.received("forecast").await.is_empty() { 0 } else { database.count("from callbacks").await };
        if kept == 5 { Ok(()) } else { Err(format!("{kept} kept")) }
    })
    .await;

    let status = service.terminate().await;

    assert!(status.success(), "{status}");
    for answer in waiting {
        let answer = answer.await.unwrap().expect("no request is cut");
        assert!([201, 202].contains(&answer.status().as_u16()), "{answer:?}");
    }
    assert!(http.get(ready).send().await.is_err(), "it is gone");
    assert_eq!(database.count("from callbacks where confirmation = 'sent' and due_at is null").await, 5);
    assert_eq!((cxone.contacts().await.len(), cxone.messages().await.len()), (5, 5));
    database.drop().await;
}

#[tokio::test]
async fn sigterm_releases_callbacks_that_it_cannot_finish() {
    let world = World::with(&[("CXONE_TIMEOUT_MS", "60000")]).await;
    world.cxone.fault(json!({"route": "contact", "kind": "hang"})).await;
    let ids = join_all((0..3).map(async |n| world.accept(&payload_from(n)).await)).await;
    eventually("three contacts on their way", async || {
        let asked = world.cxone.received("contact").await.len();
        if asked == ids.len() { Ok(()) } else { Err(format!("{asked} asked for")) }
    })
    .await;

    let status = world.service.terminate().await;

    assert!(status.success(), "{status}");
    let held = "from callbacks where due_at is null or due_at > now() + interval '1 second'";
    assert_eq!(world.database.count(held).await, 0, "nobody has to wait for the leases of who has gone");
    world.database.drop().await;
}
