//! The first page of the console.

use serde_json::json;

use crate::support::{Browser, CALLER, DIALING, World, create_key, eventually, in_ms, pause_with, payload};

const SCOPES: [&str; 5] = ["callbacks:write", "callbacks:read", "campaigns:write", "campaigns:read", "events:write"];

#[tokio::test]
async fn the_overview_shows_states_holds_rates_and_the_coming_hours_and_no_phone_number() {
    let mut world = World::start().await;
    world.key = create_key(&world.database, &SCOPES).await;
    world.database.run("update api_keys set name = '<b>ops</b>'").await;
    assert_eq!(world.ask(&payload()).await.0, 201);
    world
        .set(&json!({"answerRate": {"enabled": true, "windowMs": 300_000, "minAnswerRate": 0.2, "minAttempts": 1000,
        "pauseForMs": 60_000}}))
        .await;
    world.report(&world.service.base_url, 10, 4).await;
    let hold = pause_with(json!({"pauseReason": "AGENT_CAPACITY", "scheduledResumeTime": in_ms(600_000)}));
    assert_eq!(world.command("pause", &hold).await.0, 200);

    let browser = Browser::signed_in(&world.service.base_url, &world.key).await;
    let page = eventually("the answer rate", async || {
        let page = browser.get("/console").await;
        if page.has("<polyline") { Ok(page) } else { Err(format!("{page:?}")) }
    })
    .await;
    for text in [DIALING, "Paused", "Agent capacity, by &#60;b&#62;ops&#60;/b&#62;", "40%", "20%", "Replicas"] {
        assert!(page.has(text), "{text}: {page:?}");
    }
    assert!(page.has("class=\"capacity\"") && page.has("Placed callbacks"), "{page:?}");
    assert!(!page.has(CALLER) && !page.has("<b>") && !page.has(" style="), "{page:?}");
    for (part, text) in [("status", "Replicas"), ("campaigns", DIALING), ("callbacks", "The coming hours")] {
        let part = browser.get(&format!("/console/fragments/overview/{part}")).await;
        assert!(part.status == 200 && part.has(text) && !part.has("<html"), "{part:?}");
    }
    world.end().await;
}

#[tokio::test]
async fn a_change_is_on_the_overview_when_it_is_read_again() {
    let mut world = World::start().await;
    world.key = create_key(&world.database, &SCOPES).await;
    let browser = Browser::signed_in(&world.service.base_url, &world.key).await;
    let mut events = browser.events().await;
    events.wait_for("status").await;
    for (verb, body, shown) in [("pause", pause_with(json!({})), "Paused"), ("resume", json!({}), "Dialing")] {
        browser.get("/console").await;
        assert_eq!(world.command(verb, &body).await.0, 200);
        events.wait_for("campaigns").await;
        let part = browser.get("/console/fragments/overview/campaigns").await;
        assert!(part.has(shown), "{shown}: {part:?}");
    }
    world.end().await;
}

#[tokio::test]
async fn a_part_is_not_shown_without_its_scope() {
    let world = World::start().await;
    let key = create_key(&world.database, &["audit:read"]).await;
    let page = Browser::signed_in(&world.service.base_url, &key).await.get("/console").await;
    assert!(page.has("campaigns:read") && page.has("callbacks:read") && !page.has("The coming hours"), "{page:?}");
    world.end().await;
}
