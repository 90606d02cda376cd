//! The console without a mouse.

use serde_json::{Value, json};
use thirtyfour::Key;

use crate::page::Page;
use crate::run::{SCOPES, run};
use crate::support::{DIALING, create_key, window};

/// More than any page has.
const MOST_STOPS: usize = 60;
/// The name of the element that has the focus, and whether that is seen.
const FOCUSED: &str = r"
const element = document.activeElement;
const label = element.labels?.[0]?.textContent;
const name = element.getAttribute('aria-label') ?? label ?? element.textContent;
const style = getComputedStyle(element);
return [name.trim(), style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 0];
";

impl Page {
    async fn press(&self, key: Key) {
        self.web.action_chain().send_keys(key).perform().await.unwrap();
    }

    async fn write(&self, text: &str) {
        self.web.action_chain().send_keys(text).perform().await.unwrap();
    }

    /// Presses Tab until the element with this name has the focus, which must be seen at each stop.
    async fn tab_to(&self, name: &str) {
        let mut stops = Vec::new();
        while stops.last() != Some(&json!(name)) {
            assert!(stops.len() < MOST_STOPS, "{name} cannot be reached: {stops:?}");
            self.press(Key::Tab).await;
            let Value::Array(focused) = self.script(FOCUSED).await else { panic!("a name and a style") };
            let [stop, is_seen] = &focused[..] else { panic!("a name and a style") };
            assert_eq!(is_seen, true, "the focus on {stop} is not seen");
            stops.push(stop.clone());
        }
    }

    /// Follows a link, or presses a button.
    async fn go(&self, name: &str) {
        self.tab_to(name).await;
        self.press(Key::Enter).await;
    }
}

#[test]
fn a_person_signs_in_and_pauses_a_campaign_with_the_keyboard_alone() {
    run(async |world, page| {
        world.key = create_key(&world.database, &SCOPES).await;
        let carrier_limit = json!({"maxConcurrentCalls": 100, "maxAgents": 30});
        let window = window(-120, 360);
        world.set(&json!({"maxAgents": 25, "carrierLimit": carrier_limit, "regulatoryWindow": window})).await;
        page.visit(&format!("{}/console/sign-in", world.service.base_url)).await;
        page.tab_to("API key").await;
        page.write(&world.key).await;
        page.press(Key::Enter).await;
        page.arrives_at("/console").await;
        page.tab_to("Skip to the content").await;
        page.go("Campaigns").await;
        page.arrives_at("/console/campaigns").await;
        page.go(DIALING).await;
        page.arrives_at(&format!("/console/campaigns/{DIALING}")).await;
        page.go("Pause…").await;
        page.arrives_at(&format!("/console/campaigns/{DIALING}/pause")).await;
        page.go("Continue").await;
        page.arrives_at(&format!("/console/campaigns/{DIALING}/pause/confirm")).await;
        page.go("Pause the campaign").await;
        page.arrives_at(&format!("/console/campaigns/{DIALING}")).await;
        page.shows("The campaign is paused.").await;
    });
}
