//! Every operation that changes something leaves an audit entry, and so does every one that is refused.

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::openapi_examples::valid_request;
use crate::support::{Answer, Document, Operation, Receiver, World};

/// The action of the entry that a request leaves which succeeds. None for what is no change that somebody decides.
fn action_of(operation: &str) -> Option<&'static str> {
    Some(match operation {
        "postCallback" | "postCallbacks" => "callback.accepted",
        "cancelCallback" => "callback.cancelled",
        "rescheduleCallback" => "callback.rescheduled",
        "pauseCampaign" => "hold.placed",
        "resumeCampaign" => "hold.lifted",
        "putCampaignSettings" => "settings.updated",
        "postWebhook" => "webhook.created",
        "deleteWebhook" => "webhook.deleted",
        "enableWebhook" => "webhook.enabled",
        "rotateWebhookSecret" => "webhook.secret_rotated",
        "testWebhook" => "webhook.tested",
        "postKey" => "key.created",
        "rotateKey" => "key.rotated",
        "revokeKey" => "key.revoked",
        "erasePerson" => "privacy.erased",
        "redeliverWebhook" | "redeliverFailedWebhooks" => "webhook.redelivered",
        // Measurements of dialers, thousands a second. What Ringback decides on them is recorded.
        "postCampaignEvents" => return None,
        _ => panic!("{operation} has no audit action: name it here"),
    })
}

impl World {
    /// The audit entries that a request has left by now, oldest first.
    pub async fn entries_of(&self, request_id: &str) -> Vec<Value> {
        let select =
            "select jsonb_build_object('action', action, 'actor', actor_type, 'actorId', actor_id, 'outcome', outcome,
                'campaignId', campaign_id, 'callbackId', callback_id, 'detail', detail)
            from audit_entries where request_id = $1 order by seq";
        sqlx::query_scalar(select).bind(request_id).fetch_all(&self.database.pool).await.unwrap()
    }
}

/// The same operation on something that does not exist, with a member that it does not have.
fn refused_request(world: &World, operation: &Operation<'_>) -> RequestBuilder {
    let id = Uuid::now_v7().to_string();
    let path = operation.path.replace("{id}", &id).replace("{campaignId}", &id);
    let request = world.request(operation.method.clone(), &path);
    if operation.body_schema().is_some() { request.json(&json!({"colour": "red"})) } else { request }
}

#[tokio::test]
async fn every_changing_operation_leaves_an_entry_whether_it_succeeds_or_is_refused() {
    let world = World::of_webhooks(&[]).await;
    let receiver = Receiver::start(&[]).await;
    let document = Document::new(world.get("/openapi.json").await);
    let is_read = |operation: &Operation<'_>| [Method::GET, Method::HEAD, Method::OPTIONS].contains(&operation.method);
    for operation in document.operations().filter(|operation| !is_read(operation)) {
        let name = operation.json["operationId"].as_str().unwrap();

        let (_, body) = operation.examples()[0];
        let request = valid_request(&world, &receiver, &operation, body).await;
        let answer = Answer::to(request.header("x-request-id", format!("valid-{name}"))).await;
        let entries = world.entries_of(&format!("valid-{name}")).await;
        assert!((200..300).contains(&answer.status), "{name}: {answer:?}");
        match action_of(name) {
            Some(action) => assert!(entries.iter().any(|entry| entry["action"] == action), "{name}: {entries:?}"),
            None => assert!(entries.is_empty(), "{name}: {entries:?}"),
        }

        let request = refused_request(&world, &operation);
        let answer = Answer::to(request.header("x-request-id", format!("refused-{name}"))).await;
        let entries = world.entries_of(&format!("refused-{name}")).await;
        assert!([404, 422].contains(&answer.status), "{name}: {answer:?}");
        assert_eq!(entries.len(), 1, "{name}: {entries:?}");
        assert_eq!((&entries[0]["outcome"], &entries[0]["actor"]), (&json!("refused"), &json!("api_key")), "{name}");
    }
    world.end().await;
}
