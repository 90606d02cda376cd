//! Who sees what, and for how long.

use crate::run::run;
use crate::support::{DIALING, create_key, pause};

#[test]
fn without_a_scope_its_sections_and_buttons_do_not_exist_and_the_service_refuses_the_request() {
    run(async |world, page| {
        let console = world.open_console(page).await;
        world.pause(&pause()).await;
        let reader = create_key(&world.database, &["campaigns:read"]).await;
        page.click("button", "Sign out").await;
        page.sign_in(&world.service.base_url, &reader).await;
        page.shows("Callbacks are not shown").await;
        for (section, is_shown) in [("Campaigns", true), ("Callbacks", false), ("Webhooks", false), ("Audit", false)] {
            assert_eq!(page.has("link", section).await, is_shown, "{section}");
        }
        page.assert_accessible_everywhere().await;

        page.visit(&format!("{console}/campaigns/{DIALING}")).await;
        page.shows("Carrier throttle").await;
        for command in ["Pause…", "Resume…"] {
            assert!(!page.has("link", command).await, "{command}");
        }
        let answer = page.fetched(&format!("/console/campaigns/{DIALING}/resume"), "POST", "once=1").await;
        assert_eq!(answer["status"], 403, "{answer}");
        assert!(answer["text"].as_str().unwrap().contains("campaigns:write"), "{answer}");
        assert_eq!(world.cxone.campaign(DIALING).await["state"], "PAUSED");
    });
}

#[test]
fn a_page_that_is_open_leads_to_the_sign_in_when_its_key_is_revoked() {
    run(async |world, page| {
        world.open_console(page).await;
        page.shows("Live").await;
        world.database.run("update api_keys set revoked_at = now()").await;
        page.arrives_at("/console/sign-in").await;
    });
}
