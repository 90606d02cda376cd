//! What the demo shows of `nice` only: campaigns with skills, and a callback that is called.

use anyhow::Context as _;
use jiff::SignedDuration;
use serde_json::json;

use super::sequence::{Ivr, Sample, Until};
use super::{BOLD, CAMPAIGN, DIALED_CAMPAIGN, DIM, HELD_CAMPAIGN, LOW_CAMPAIGN};
use crate::clock::Clock;

/// The numbers that the simulator gives campaigns and their skills, in the order in which they are added.
const SKILLS: [(&str, u32, u32); 4] =
    [(CAMPAIGN, 101, 4001), (DIALED_CAMPAIGN, 102, 4002), (HELD_CAMPAIGN, 103, 4003), (LOW_CAMPAIGN, 104, 4004)];
/// A window must end at least a minute after its request.
const TIME_TO_CALL: SignedDuration = SignedDuration::from_secs(75);

/// Somebody who can be called at once.
const SOON: Sample =
    Sample { phone_number: "+16175550123", language: "en-US", timezone: "America/New_York", caller: "Boston" };

impl Ivr {
    /// Gives each campaign its skill, which has agents at any time of the day.
    pub async fn map_skills(&self) -> anyhow::Result<()> {
        for (campaign, number, skill) in SKILLS {
            let history = format!("http://{}/_control/skills/{skill}/history", self.simulator);
            let busy = json!({ "weeks": 3, "contactsPerInterval": 12, "agents": 10 });
            self.http.put(history).json(&busy).send().await?.error_for_status()?;
            let url = format!("{}/v1/campaigns/{campaign}/settings", self.base_url);
            let settings = json!({ "nice": { "skillId": skill, "campaignId": number } });
            let answer = self.http.put(url).bearer_auth(&self.key).json(&settings).send().await?;
            answer.error_for_status().context("the skills could not be set")?;
            anstream::println!("{BOLD}PUT{BOLD:#}  /v1/campaigns/{campaign}/settings   skill {skill}");
        }
        anstream::println!();
        Ok(())
    }

    /// Asks for a callback that can be called at once, and shows what became of the call.
    pub async fn show_call(&self, clock: &Clock) -> anyhow::Result<()> {
        anstream::println!("{DIM}Somebody whose window ends soon is called at once:{DIM:#}");
        let end = clock.now() + TIME_TO_CALL;
        let payload = SOON.payload(end - SignedDuration::from_hours(1), end);
        self.show_callback(&SOON, &payload, Until::Called).await
    }
}
