//! Every page: its accessibility, and hostile texts.

use serde_json::json;

use crate::run::run;
use crate::support::{DIALING, World, pause, payload_with};

/// What a browser would run, if it were not escaped.
const HOSTILE: &str = "<img src=x onerror=alert(1)>\"'&";

impl World {
    /// A paused campaign, a callback with hostile texts, and an endpoint that does not answer. Returns the ids of the last two.
    async fn with_content(&self) -> (String, String) {
        self.pause(&pause()).await;
        let hostile = json!({"externalId": HOSTILE, "metadata": {"note": HOSTILE}});
        let (status, callback) = self.ask(&payload_with(hostile)).await;
        assert_eq!(status, 201, "{callback}");
        let hook = self.hook(json!({"url": "http://127.0.0.1:9/hooks", "description": HOSTILE})).await;
        let id = |value: &serde_json::Value| value["id"].as_str().unwrap().to_owned();
        (id(&callback), id(&hook))
    }
}

#[test]
fn every_page_is_accessible_without_content() {
    run(async |world, page| {
        let console = world.open_console(page).await;
        for path in ["/campaigns", "/callbacks", "/webhooks", "/audit", "/audit/verification", "/unknown"] {
            page.visit(&format!("{console}{path}")).await;
            page.assert_accessible_everywhere().await;
        }
    });
}

#[test]
fn every_page_shows_hostile_texts_as_texts_and_is_accessible() {
    run(async |world, page| {
        let console = world.open_console(page).await;
        let (callback, hook) = world.with_content().await;
        let log = world.get("/v1/audit").await;
        let entry = log["data"][0]["id"].as_str().unwrap();
        for path in [
            String::new(),
            "/campaigns".to_owned(),
            format!("/campaigns/{DIALING}"),
            format!("/campaigns/{DIALING}/pause"),
            format!("/campaigns/{DIALING}/resume"),
            "/callbacks".to_owned(),
            format!("/callbacks/{callback}"),
            format!("/callbacks/{callback}/cancel"),
            "/webhooks".to_owned(),
            format!("/webhooks/{hook}"),
            "/audit".to_owned(),
            format!("/audit/{entry}"),
        ] {
            page.visit(&format!("{console}{path}")).await;
            page.assert_accessible_everywhere().await;
            assert_eq!(page.script("return document.images.length").await, 0, "{path}");
        }
        page.visit(&format!("{console}/callbacks/{callback}")).await;
        page.shows(HOSTILE).await;
    });
}
