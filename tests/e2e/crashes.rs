//! Killed anywhere, a callback ends with one contact and at most one text, and what it says is true.

use serde_json::json;

use crate::harness::is_nice;
use crate::support::{Database, Service, World, eventually, payload};

/// Lets a claim of a dead process end now, and not when its lease does.
async fn end_leases(database: &Database) {
    sqlx::query("update callbacks set due_at = now() where due_at is not null").execute(&database.pool).await.unwrap();
}

impl World {
    /// SIGKILL, and a new process on the same database.
    async fn crash_and_restart(mut self) -> Self {
        self.service.kill().await;
        end_leases(&self.database).await;
        self.service = Service::start(&self.database, &self.cxone, &[]).await;
        self
    }
}

#[tokio::test]
async fn after_a_kill_right_after_the_answer_the_callback_is_still_scheduled() {
    let world = World::start().await;
    world.cxone.fault(json!({"route": "*", "kind": "hang"})).await;

    let (status, callback) = world.ask_with(&payload(), &[("prefer", "respond-async")]).await;
    let world = world.crash_and_restart().await;
    world.cxone.heal().await;
    end_leases(&world.database).await;

    assert_eq!(status, 202);
    let callback = world.settled(callback["id"].as_str().unwrap()).await;
    assert_eq!((&callback["status"], &callback["confirmation"]["status"]), (&json!("scheduled"), &json!("sent")));
    assert_eq!((world.cxone.contacts().await.len(), world.cxone.messages().await.len()), (1, 1));
    world.end().await;
}

#[tokio::test]
async fn after_a_kill_during_the_contact_request_there_is_one_contact_and_one_text() {
    let world = World::start().await;
    world.cxone.fault(json!({"route": "contact", "kind": "hang", "afterWork": true, "times": 1})).await;

    let (_, callback) = world.ask_with(&payload(), &[("prefer", "respond-async")]).await;
    let id = callback["id"].as_str().unwrap().to_owned();
    world.cxone.wait_for_contact().await;
    let world = world.crash_and_restart().await;

    let callback = world.settled(&id).await;
    let contacts = world.cxone.contacts().await;
    assert_eq!((&callback["status"], &callback["confirmation"]["status"]), (&json!("scheduled"), &json!("sent")));
    assert_eq!((contacts.len(), world.cxone.messages().await.len()), (1, 1));
    assert_eq!(contacts[0]["contact"]["scheduledStartDateTime"], callback["dispatchTime"]);
    world.end().await;
}

#[tokio::test]
async fn after_a_kill_during_the_text_request_there_is_one_contact_and_one_text() {
    let world = World::start().await;
    world.cxone.fault(json!({"route": "message", "kind": "hang", "afterWork": true})).await;

    let (_, callback) = world.ask_with(&payload(), &[("prefer", "respond-async")]).await;
    let id = callback["id"].as_str().unwrap().to_owned();
    eventually("the text in CXone", async || match world.cxone.messages().await.len() {
        1 => Ok(()),
        other => Err(format!("{other} texts")),
    })
    .await;
    let world = world.crash_and_restart().await;
    world.cxone.heal().await;

    let callback = world.settled(&id).await;
    // The API that NICE publishes can look for the text.
    let (confirmation, last) =
        if is_nice() { ("sent", "callback.confirmed") } else { ("unknown", "callback.confirmation_failed") };
    assert_eq!((&callback["status"], &callback["confirmation"]["status"]), (&json!("scheduled"), &json!(confirmation)));
    assert_eq!(world.cxone.contacts().await.len(), 1);
    assert_eq!(world.cxone.messages().await.len(), 1);
    assert_eq!(world.audited(&id).await, ["callback.accepted", "callback.scheduled", last]);
    world.end().await;
}

#[tokio::test]
async fn an_acknowledged_batch_survives_a_crash_completely() {
    let world = World::start().await;
    world.cxone.fault(json!({"route": "*", "kind": "hang"})).await;
    let callbacks: Vec<_> =
        (0..1000).map(|n| crate::support::payload_with(json!({"phoneNumber": format!("+1415555{n:04}")}))).collect();

    let answer = world.post("/v1/callbacks/batch", &json!({"callbacks": callbacks})).await;
    let results: serde_json::Value = answer.json().await.unwrap();
    world.service.kill().await;

    let accepted = results["results"].as_array().unwrap().iter().filter(|result| result["id"].is_string()).count();
    let kept: i64 = sqlx::query_scalar("select count(*) from callbacks where status = 'accepted'")
        .fetch_one(&world.database.pool)
        .await
        .unwrap();
    assert_eq!(results["results"].as_array().unwrap().len(), 1000);
    assert_eq!(usize::try_from(kept).unwrap(), accepted);
    assert!(accepted > 900, "{accepted} of the thousand numbers are valid and were accepted");
    world.database.drop().await;
}

#[tokio::test]
async fn a_crashed_request_can_be_repeated_with_its_idempotency_key() {
    let world = World::start().await;
    world.cxone.fault(json!({"route": "*", "kind": "hang"})).await;
    let body = payload();
    let request = world.request(reqwest::Method::POST, "/v1/callbacks").header("idempotency-key", "k-1").json(&body);
    let posting = tokio::spawn(request.send());
    crate::support::eventually("the callback is kept", async || {
        let kept: i64 =
            sqlx::query_scalar("select count(*) from callbacks").fetch_one(&world.database.pool).await.unwrap();
        if kept == 1 { Ok(()) } else { Err(format!("{kept} kept")) }
    })
    .await;

    let world = world.crash_and_restart().await;
    world.cxone.heal().await;
    let in_use = world.ask_with(&body, &[("idempotency-key", "k-1")]).await;
    sqlx::query("update idempotency_keys set leased_until = now() - interval '1 s'")
        .execute(&world.database.pool)
        .await
        .unwrap();
    let taken_on = world.ask_with(&body, &[("idempotency-key", "k-1")]).await;

    assert!(posting.await.unwrap().is_err(), "the first request was cut off");
    assert_eq!((in_use.0, &in_use.1["type"]), (409, &json!("/problems/idempotency-key-in-use")));
    assert!([201, 202].contains(&taken_on.0), "{}", taken_on.1);
    let id = taken_on.1["id"].as_str().unwrap();
    assert_eq!(world.settled(id).await["status"], "scheduled");
    assert_eq!(world.get("/v1/callbacks").await["data"].as_array().unwrap().len(), 1);
    assert_eq!((world.cxone.contacts().await.len(), world.cxone.messages().await.len()), (1, 1));
    world.end().await;
}

#[tokio::test]
async fn sigterm_answers_waiting_requests_releases_running_callbacks_and_exits_0() {
    let world = World::start().await;
    world.cxone.fault(json!({"route": "contact", "kind": "hang"})).await;
    let body = payload();
    let request = world.request(reqwest::Method::POST, "/v1/callbacks").header("prefer", "wait=30").json(&body);
    let posting = tokio::spawn(request.send());
    world.cxone.wait_for_request("contact").await;

    let World { service, database, cxone, http, key } = world;
    let status = service.terminate().await;

    assert_eq!(posting.await.unwrap().unwrap().status(), 202);
    assert!(status.success(), "{status}");
    cxone.heal().await;
    let service = Service::start(&database, &cxone, &[]).await;
    let world = World { database, cxone, service, key, http };
    let id = world.get("/v1/callbacks").await["data"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!(world.settled(&id).await["status"], "scheduled");
    assert_eq!((world.cxone.contacts().await.len(), world.cxone.messages().await.len()), (1, 1));
    world.end().await;
}
