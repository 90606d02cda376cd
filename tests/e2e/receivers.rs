//! The receivers in docs/receivers/ accept what Ringback sends, and nothing else.

use jiff::Timestamp;
use reqwest::Method;
use serde_json::{Value, json};
use standardwebhooks::Webhook;

use crate::support::{DocumentedReceiver, Language, Received, Receiver, World, pause};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const OTHER_SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";

/// A request like Ringback's, signed `age` seconds ago.
fn signed(secret: &str, id: &str, age: i64) -> Received {
    let (sent_at, body) = (Timestamp::now().as_second() - age, json!({"type": "webhook.test"}).to_string());
    let signature = Webhook::new(secret).unwrap().sign(id, sent_at, body.as_bytes()).unwrap();
    let headers = [("webhook-id", id), ("webhook-timestamp", &sent_at.to_string()), ("webhook-signature", &signature)];
    Received { headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).into(), body }
}

async fn accepts_events_of_ringback_and_handles_each_once(language: Language) {
    let Some(receiver) = DocumentedReceiver::start(language, SECRET).await else { return };
    let settings = [("WFO_WEBHOOK_URL", receiver.url.as_str()), ("WFO_WEBHOOK_SECRET", SECRET)];
    let world = World::of_webhooks(&settings).await;
    let hook = world.get("/v1/webhooks").await["data"][0]["id"].as_str().unwrap().to_owned();

    let (_, paused) = world.command("pause", &pause()).await;
    let delivered = |deliveries: &[Value]| deliveries.first().is_some_and(|newest| newest["status"] == "succeeded");
    let deliveries = world.deliveries_when(&hook, delivered).await;
    let id = deliveries[0]["id"].as_str().unwrap();
    let again = world.send(Method::POST, &format!("/v1/webhooks/deliveries/{id}/redeliver")).await;
    let duplicates = receiver.output_when("duplicate", 1).await;
    world.command("resume", &json!({})).await;
    receiver.output_when("campaign.resumed", 1).await;

    let event = paused["auditId"].as_str().unwrap();
    assert_eq!(receiver.output_when("campaign.paused", 1).await, [format!("campaign.paused {event}")]);
    assert_eq!((again, duplicates), (202, vec![format!("duplicate {event}")]));
    world.end().await;
}

async fn rejects_what_ringback_did_not_sign(language: Language) {
    let Some(receiver) = DocumentedReceiver::start(language, SECRET).await else { return };
    let right = signed(SECRET, "right", 0);
    let (mut changed, mut unsigned, mut garbled) = (right.clone(), right.clone(), right.clone());
    changed.body = changed.body.replace("test", "rest");
    unsigned.headers.clear();
    garbled.headers.insert("webhook-signature".to_owned(), "v1".to_owned());
    let too_large = Received { body: "x".repeat(2_000_000), ..right.clone() };

    for (name, request, status) in [
        ("a changed body", changed, 400),
        ("another secret", signed(OTHER_SECRET, "other", 0), 400),
        ("ten minutes old", signed(SECRET, "old", 600), 400),
        ("ten minutes ahead", signed(SECRET, "early", -600), 400),
        ("without a signature", unsigned, 400),
        ("half a signature", garbled, 400),
        ("right", right, 204),
    ] {
        assert_eq!(receiver.send(&request).await, status, "{name}");
    }
    // A client that is still sending may not see the 413.
    assert!([413, 0].contains(&receiver.send(&too_large).await));
    assert_eq!(receiver.output_when("webhook.test", 1).await, ["webhook.test right"]);
}

#[tokio::test]
async fn the_typescript_receiver_accepts_events_of_ringback_and_handles_each_once() {
    accepts_events_of_ringback_and_handles_each_once(Language::TypeScript).await;
}

#[tokio::test]
async fn the_python_receiver_accepts_events_of_ringback_and_handles_each_once() {
    accepts_events_of_ringback_and_handles_each_once(Language::Python).await;
}

#[tokio::test]
async fn the_typescript_receiver_rejects_what_ringback_did_not_sign() {
    rejects_what_ringback_did_not_sign(Language::TypeScript).await;
}

#[tokio::test]
async fn the_python_receiver_rejects_what_ringback_did_not_sign() {
    rejects_what_ringback_did_not_sign(Language::Python).await;
}

#[tokio::test]
async fn for_a_day_after_a_rotation_receivers_with_either_secret_accept_an_event() {
    let world = World::of_webhooks(&[]).await;
    let receiver = Receiver::start(&[]).await;
    let hook = world.hook(json!({"url": receiver.url})).await;
    let (id, first) = (hook["id"].as_str().unwrap(), hook["secret"].as_str().unwrap());

    world.command("pause", &pause()).await;
    receiver.received_when(1).await;
    let rotated = world.post(&format!("/v1/webhooks/{id}/rotate-secret"), &json!({})).await;
    let rotated: Value = rotated.json().await.unwrap();
    let second = rotated["secret"].as_str().unwrap();
    world.command("resume", &json!({})).await;
    receiver.received_when(2).await;
    world.post(&format!("/v1/webhooks/{id}/rotate-secret"), &json!({})).await;
    world.command("pause", &pause()).await;
    let received = receiver.received_when(3).await;

    assert!(first.starts_with("whsec_") && second.starts_with("whsec_") && first != second);
    assert_eq!(received[0].headers["webhook-signature"].split(' ').count(), 1);
    assert_eq!(received[1].headers["webhook-signature"].split(' ').count(), 2, "for a day both sign");
    for language in [Language::TypeScript, Language::Python] {
        for (secret, statuses) in [(first, [204, 204, 204]), (second, [400, 204, 204])] {
            let Some(receiver) = DocumentedReceiver::start(language, secret).await else { continue };
            for (received, status) in received.iter().zip(statuses) {
                assert_eq!(receiver.send(received).await, status, "{language:?}");
            }
        }
    }
    world.end().await;
}
