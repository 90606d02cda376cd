//! Every page: its accessibility, hostile texts, what changes while it is open, and the commands.

use serde_json::json;

use crate::page::{Page, Screen, Theme};
use crate::run::run_with;
use crate::support::{DIALING, ENCRYPTION_KEY, World, create_key, pause, pause_with, payload_with, window};

const SETTINGS: [(&str, &str); 2] = [("WEBHOOKS_ALLOW_LOOPBACK", "true"), ("ENCRYPTION_KEY", ENCRYPTION_KEY)];
const SCOPES: [&str; 10] = [
    "callbacks:read",
    "callbacks:write",
    "campaigns:read",
    "campaigns:write",
    "campaigns:override",
    "webhooks:read",
    "webhooks:write",
    "audit:read",
    "privacy:read",
    "keys:write",
];
/// What a browser would run, if it were not escaped.
const HOSTILE: &str = "<img src=x onerror=alert(1)>\"'&";

impl World {
    /// Signs the browser in with a key for everything, which this sends requests with, too.
    async fn open_console(&mut self, page: &Page) -> String {
        self.key = create_key(&self.database, &SCOPES).await;
        page.sign_in(&self.service.base_url, &self.key).await;
        format!("{}/console", self.service.base_url)
    }

    /// A paused campaign, a callback with hostile texts, and an endpoint that does not answer. Returns the ids of the last two.
    async fn with_content(&self) -> (String, String) {
        assert_eq!(self.command("pause", &pause()).await.0, 200);
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
    run_with(&SETTINGS, async |world, page| {
        let console = world.open_console(page).await;
        for path in ["/campaigns", "/callbacks", "/webhooks", "/audit", "/audit/verification", "/unknown"] {
            page.visit(&format!("{console}{path}")).await;
            page.assert_accessible_everywhere().await;
        }
    });
}

#[test]
fn every_page_shows_hostile_texts_as_texts_and_is_accessible() {
    run_with(&SETTINGS, async |world, page| {
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

#[test]
fn a_change_is_shown_without_a_reload() {
    run_with(&SETTINGS, async |world, page| {
        let console = world.open_console(page).await;
        page.visit(&format!("{console}/campaigns/{DIALING}")).await;
        page.shows("Live").await;
        page.script("window.isSamePage = true").await;

        assert_eq!(world.command("pause", &pause_with(json!({"pauseReason": "AGENT_CAPACITY"}))).await.0, 200);

        page.shows("Agent capacity").await;
        assert_eq!(page.script("return window.isSamePage").await, true);
    });
}

#[test]
fn a_campaign_is_paused_after_a_page_that_says_what_happens() {
    run_with(&SETTINGS, async |world, page| {
        let console = world.open_console(page).await;
        let carrier_limit = json!({"maxConcurrentCalls": 100, "maxAgents": 30});
        let window = window(-120, 360);
        world.set(&json!({"maxAgents": 25, "carrierLimit": carrier_limit, "regulatoryWindow": window})).await;
        page.show(Screen::Phone, Theme::Dark).await;
        page.visit(&format!("{console}/campaigns/{DIALING}")).await;
        page.click("link", "Pause…").await;
        page.arrives_at(&format!("/console/campaigns/{DIALING}/pause")).await;
        page.click("button", "Continue").await;
        page.arrives_at(&format!("/console/campaigns/{DIALING}/pause/confirm")).await;
        page.assert_accessible().await;
        page.click("button", "Pause the campaign").await;
        page.arrives_at(&format!("/console/campaigns/{DIALING}")).await;
        page.shows("Paused").await;
    });
}
