//! What people do on the pages of campaigns, callbacks, webhooks and the audit log.

use serde_json::json;

use crate::page::{Screen, Theme};
use crate::run::run;
use crate::support::{CALLER, DIALING, Receiver, Reply, World, eventually, in_ms, pause, pause_with, payload, window};

#[test]
fn a_campaign_is_paused_after_a_page_that_says_what_happens() {
    run(async |world, page| {
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
        page.shows("The campaign is paused.").await;
        assert_eq!(world.cxone.campaign(DIALING).await["state"], "PAUSED");
    });
}

#[test]
fn a_campaign_is_resumed_before_the_end_of_a_compliance_hold_only_with_its_name() {
    run(async |world, page| {
        let console = world.open_console(page).await;
        let compliance = json!({"pauseReason": "COMPLIANCE_HOLD", "scheduledResumeTime": in_ms(3_600_000)});
        world.pause(&pause_with(compliance)).await;
        page.visit(&format!("{console}/campaigns/{DIALING}")).await;
        page.click("link", "Resume…").await;
        page.shows("Before its end").await;
        page.fill("Name of the campaign", "another").await;
        page.click("button", "Force the resume").await;
        page.shows("must be the name of the campaign").await;
        page.assert_accessible_everywhere().await;
        assert_eq!(world.cxone.campaign(DIALING).await["state"], "PAUSED");

        page.fill("Name of the campaign", DIALING).await;
        page.click("button", "Force the resume").await;
        page.arrives_at(&format!("/console/campaigns/{DIALING}")).await;
        page.shows("The campaign is dialing again.").await;
        assert_eq!(world.cxone.campaign(DIALING).await["state"], "ACTIVE");
    });
}

#[test]
fn a_callback_is_found_by_its_number_which_is_revealed_once_and_is_cancelled() {
    run(async |world, page| {
        let console = world.open_console(page).await;
        // Without a forecast CXone has no contact yet.
        world.cxone.fault(json!({"route": "forecast", "kind": "status", "status": 503})).await;
        let id = world.accept(&payload()).await;
        page.visit(&format!("{console}/callbacks")).await;
        page.fill("Phone number", CALLER).await;
        page.click("button", "Find").await;
        page.click("link", "+1202•••0198").await;
        page.arrives_at(&format!("/console/callbacks/{id}")).await;
        page.click("button", "Show the whole number").await;
        page.shows(CALLER).await;
        page.assert_accessible_everywhere().await;

        page.click("link", "Cancel…").await;
        page.arrives_at(&format!("/console/callbacks/{id}/cancel")).await;
        page.click("button", "Cancel the callback").await;
        page.shows("The callback is cancelled.").await;
        assert!(!page.text().await.contains(CALLER), "{}", page.text().await);
        let actions = world.audited(&id).await;
        for action in ["callback.number_revealed", "callback.cancelled"] {
            assert!(actions.iter().any(|found| found == action), "{actions:?}");
        }
    });
}

#[test]
fn an_endpoint_is_tested_gets_a_delivery_again_and_a_new_secret() {
    run(async |world, page| {
        let console = world.open_console(page).await;
        let receiver = Receiver::start(&[]).await;
        let hook = world.hook_at(&receiver).await;
        page.visit(&format!("{console}/webhooks")).await;
        page.click("link", &receiver.url).await;
        page.arrives_at(&format!("/console/webhooks/{hook}")).await;
        page.click("button", "Send a test event").await;
        page.shows("A test event is queued.").await;
        // The part of the page with the deliveries is read again.
        page.shows("1 attempt, the last: status 200").await;
        page.click_at("button[id^=again-]").await;
        page.shows("The deliveries are queued again.").await;
        let received = receiver.received_when(2).await;
        assert_eq!(received[0].headers["webhook-id"], received[1].headers["webhook-id"]);

        page.click("DisclosureTriangle", "Replace the secret").await;
        page.click("button", "Replace the secret").await;
        page.shows("Copy the secret now.").await;
        page.shows("whsec_").await;
        page.assert_accessible_everywhere().await;
    });
}

#[test]
fn an_endpoint_that_was_disabled_is_enabled_and_gets_what_has_failed() {
    run(async |world, page| {
        let console = world.open_console(page).await;
        let receiver = Receiver::start(&[Reply::Status(410)]).await;
        let hook = world.hook_at(&receiver).await;
        assert_eq!(page.fetched(&format!("/console/webhooks/{hook}/test"), "POST", "once=1").await["status"], 200);
        page.visit(&format!("{console}/webhooks/{hook}")).await;
        page.shows("Disabled since").await;
        page.assert_accessible_everywhere().await;
        page.click("button", "Enable").await;
        page.shows("The endpoint is enabled.").await;
        page.click("DisclosureTriangle", "Send failed deliveries again").await;
        page.click("button", "Send them again").await;
        page.shows("The deliveries are queued again.").await;
        receiver.received_when(2).await;
        page.shows("2 attempts, the last: status 200").await;
    });
}

#[test]
fn the_audit_log_is_searched_verified_and_saved_as_csv() {
    run(async |world, page| {
        let console = world.open_console(page).await;
        world.pause(&pause()).await;
        world.sealed().await;
        page.visit(&format!("{console}/audit")).await;
        page.choose("Action", "hold.placed").await;
        page.click("button", "Search").await;
        page.arrives_at("/console/audit").await;
        let csv = page.find("link", "All that match as CSV").await.attr("href").await.unwrap().unwrap();
        let csv = page.fetched(&csv, "GET", "").await;
        assert_eq!(csv["status"], 200, "{csv}");
        assert_eq!(csv["text"].as_str().unwrap().lines().count(), 2, "{csv}");
        page.click("link", "hold.placed").await;
        page.shows("Particulars").await;

        page.visit(&format!("{console}/audit/verification")).await;
        page.click("button", "Verify the whole log").await;
        page.shows("The log is whole").await;
        page.assert_accessible_everywhere().await;
    });
}

impl World {
    /// Returns once the entries that exist now are sealed.
    async fn sealed(&self) {
        let entries = self.number("select count(*) from audit_entries").await;
        eventually("a log in which everything is sealed", async || {
            let sealed = self.number("select size from audit_log_head").await;
            if sealed >= entries { Ok(()) } else { Err(format!("{sealed} of {entries}")) }
        })
        .await;
    }
}
