//! The main job, line by line of the contract's *Callbacks*.

use jiff::Timestamp;
use serde_json::json;

use crate::support::{CALLER, CAMPAIGN, World, payload};

#[tokio::test]
async fn a_callback_goes_from_the_post_to_its_text() {
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
