//! Campaigns and their holds.

use jiff::SignedDuration;
use serde_json::json;

use super::evidence::{AckedHold, Activation, CampaignEnd, Evidence};
use super::{Kind, Violation};

/// Between a clock that was read and the request that it decided.
const CLOCK_SLACK: SignedDuration = SignedDuration::from_millis(100);
/// An answer travels for so long after CXone confirmed the pause.
const AFTER_CONFIRMED: SignedDuration = SignedDuration::from_millis(100);
/// A resume that was on its way when the hold was kept (202) may still arrive; it is taken back then.
const AFTER_KEPT: SignedDuration = SignedDuration::from_secs(20);

pub fn judge(evidence: &Evidence) -> Vec<Violation> {
    let mut found = Vec::new();
    for campaign in &evidence.campaigns {
        found.extend(judge_end(campaign, &evidence.holds));
    }
    for activation in &evidence.activations {
        let broken = evidence.holds.iter().find(|hold| forbids(hold, activation));
        found.extend(broken.map(|hold| {
            let details = json!({ "activation": activation, "hold": hold });
            Violation::new(Kind::Wrong, "a campaign was started while a compliance hold was in force", details)
        }));
    }
    found
}

fn forbids(hold: &AckedHold, activation: &Activation) -> bool {
    let grace = if hold.confirmed { AFTER_CONFIRMED } else { AFTER_KEPT };
    hold.compliance
        && hold.campaign == activation.campaign
        && hold.acked_at + grace < activation.at
        && activation.at < hold.ends_at - CLOCK_SLACK
}

/// Nobody but the service pauses campaigns here.
fn judge_end(campaign: &CampaignEnd, acked: &[AckedHold]) -> Vec<Violation> {
    let mut found = Vec::new();
    let is_held = !campaign.holds.is_empty();
    if is_held && campaign.state != "PAUSED" {
        let what = "a campaign dials while a hold is left";
        found.push(Violation::new(Kind::Wrong, what, json!(campaign)));
    }
    if !is_held && campaign.state == "PAUSED" {
        let what = "a campaign is paused and no hold is left";
        found.push(Violation::new(Kind::Wrong, what, json!(campaign)));
    }
    let lasting = acked.iter().filter(|hold| hold.campaign == campaign.id && hold.ends_at > campaign.at);
    for hold in lasting.filter(|hold| hold.compliance) {
        if !campaign.holds.iter().any(|left| left["pauseReason"] == hold.reason.as_str()) {
            let details = json!({ "hold": hold, "campaign": campaign });
            found.push(Violation::new(Kind::Lost, "an acknowledged compliance hold is gone before its end", details));
        }
    }
    found
}
