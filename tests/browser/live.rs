//! What changes while a page is open.

use serde_json::json;

use crate::run::{SETTINGS, run};
use crate::support::{DIALING, Service, pause, pause_with};

#[test]
fn a_change_that_another_replica_makes_is_shown_without_a_reload() {
    run(async |world, page| {
        world.open_console(page).await;
        let second = Service::start(&world.database, &world.cxone, &SETTINGS).await;
        page.visit(&format!("{}/console/campaigns/{DIALING}", second.base_url)).await;
        page.shows("Live").await;
        page.script("window.isSamePage = true").await;

        world.pause(&pause_with(json!({"pauseReason": "AGENT_CAPACITY"}))).await;

        page.shows("Agent capacity").await;
        assert_eq!(page.script("return window.isSamePage").await, true);
        second.kill().await;
    });
}

#[test]
fn a_page_says_that_the_service_is_away_and_is_current_when_it_is_back() {
    run(async |world, page| {
        world.open_console(page).await;
        let replica = Service::start(&world.database, &world.cxone, &SETTINGS).await;
        let url = replica.base_url.clone();
        page.visit(&format!("{url}/console/campaigns/{DIALING}")).await;
        page.shows("Live").await;
        replica.kill().await;
        page.shows("Reconnecting").await;
        world.pause(&pause()).await;

        let listen = [("LISTEN_ADDR", url.trim_start_matches("http://"))];
        let replica = Service::start(&world.database, &world.cxone, &[&SETTINGS[..], &listen].concat()).await;

        page.shows("Live").await;
        page.shows("Carrier throttle").await;
        replica.kill().await;
    });
}
