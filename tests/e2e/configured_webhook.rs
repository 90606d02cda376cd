//! The webhook endpoint that `WFO_WEBHOOK_URL` makes.

use serde_json::{Value, json};

use crate::support::{Receiver, Service, World};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// A replica with this endpoint in its configuration, or none.
async fn replica(world: &World, url: Option<&str>) -> Service {
    let mut settings = vec![("WEBHOOKS_ALLOW_LOOPBACK", "true")];
    if let Some(url) = url {
        settings.extend([("WFO_WEBHOOK_URL", url), ("WFO_WEBHOOK_SECRET", SECRET)]);
    }
    Service::start(&world.database, &world.cxone, &settings).await
}

/// The entries of the configuration, oldest first.
async fn entries(world: &World) -> Vec<Value> {
    let log = world.get("/v1/audit?actor=configuration&limit=200").await;
    log["data"].as_array().unwrap().iter().rev().cloned().collect()
}

/// The URL of a receiver without its path, which may be a secret.
fn origin(receiver: &Receiver) -> String {
    reqwest::Url::parse(&receiver.url).unwrap().origin().ascii_serialization()
}

fn action_and_detail(entry: &Value) -> (&str, &Value) {
    (entry["action"].as_str().unwrap(), &entry["detail"])
}

#[tokio::test]
async fn changes_of_the_configured_endpoint_are_audited() {
    let world = World::of_webhooks(&[]).await;
    let (first, second) = (Receiver::start(&[]).await, Receiver::start(&[]).await);
    assert!(entries(&world).await.is_empty());

    replica(&world, Some(&first.url)).await.kill().await;
    let made = entries(&world).await;
    let first_id = &world.get("/v1/webhooks").await["data"][0]["id"];
    assert_eq!(made.len(), 1);
    assert_eq!(
        action_and_detail(&made[0]),
        ("webhook.created", &json!({"webhookId": first_id, "origin": origin(&first)}))
    );
    let by = json!({"type": "system", "id": "configuration", "name": "ringback"});
    assert_eq!((&made[0]["actor"], &made[0]["outcome"]), (&by, &json!("succeeded")));
    assert!(!made[0].to_string().contains(SECRET));
    replica(&world, Some(&first.url)).await.kill().await;
    assert_eq!(entries(&world).await.len(), 1, "a restart with the same settings writes none");

    // Two at once write what one would have written.
    let (one, other) = tokio::join!(replica(&world, Some(&second.url)), replica(&world, Some(&second.url)));
    let replaced = entries(&world).await;
    let second_id = &world.get("/v1/webhooks").await["data"][0]["id"];
    assert_eq!(replaced.len(), 3, "{replaced:?}");
    assert_eq!(action_and_detail(&replaced[1]), ("webhook.deleted", &json!({"webhookId": first_id})));
    assert_eq!(
        action_and_detail(&replaced[2]),
        ("webhook.created", &json!({"webhookId": second_id, "origin": origin(&second)}))
    );
    one.kill().await;
    other.kill().await;

    let disable = "update webhook_endpoints set disabled_at = now(), disabled_reason = 'gone' where deleted_at is null";
    sqlx::query(disable).execute(&world.database.pool).await.unwrap();
    replica(&world, Some(&second.url)).await.kill().await;
    replica(&world, None).await.kill().await;
    replica(&world, Some(&second.url)).await.kill().await;
    let last = entries(&world).await;
    assert_eq!(last.len(), 6, "{last:?}");
    assert_eq!(action_and_detail(&last[3]), ("webhook.enabled", &json!({"webhookId": second_id})));
    assert_eq!(action_and_detail(&last[4]), ("webhook.deleted", &json!({"webhookId": second_id})));
    assert_eq!(
        action_and_detail(&last[5]),
        ("webhook.created", &json!({"webhookId": second_id, "origin": origin(&second)}))
    );
    world.end().await;
}
