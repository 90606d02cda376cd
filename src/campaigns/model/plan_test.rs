//! Rules of a plan that need no CXone to be seen.

use std::time::Duration;

use jiff::Timestamp;
use uuid::Uuid;

use super::campaign::{Campaign, Changes, Pace};
use super::hold::{Hold, PauseReason, Trigger};
use crate::audit::Actor;
use crate::campaigns::model::Counts;
use crate::clock::Clock;
use crate::cxone::{CampaignState, DialerCampaign};
use crate::types::CampaignId;

const PACE: Pace =
    Pace { lead: Duration::from_secs(2), doubt: Duration::from_secs(60), check_every: Duration::from_secs(45) };

/// As when the command was kept while CXone was away, and the dialer has gone on since.
#[test]
fn a_pause_that_is_planned_later_carries_the_counts_of_when_it_was_asked_for() {
    let now: Timestamp = "2026-11-20T15:00:00Z".parse().unwrap();
    let clock = Clock::manual(move || now, 1);
    let mut campaign = Campaign::only_seen(CampaignId::parse("c").unwrap(), CampaignState::Active, now);
    let asked_for = Counts { attempts: 100, answers: 20 };
    campaign.holds.push(Hold {
        id: Uuid::from_u128(7),
        reason: PauseReason::CarrierThrottle,
        compliance: false,
        triggered_by: Trigger::ManualPause,
        placed_by: Actor::operator(),
        placed_at: now,
        ends_at: None,
        max_agents: None,
        regulatory_window: None,
        request_id: None,
        affected_callbacks: None,
        counts: asked_for,
        revision: 1,
    });
    campaign.counts = Counts { attempts: 900, answers: 900 };
    let shown = DialerCampaign {
        state: CampaignState::Active,
        pause_reason: None,
        resume_at: None,
        max_agents: Some(10),
        dialing_mode: None,
    };

    let request = campaign.plan(&shown, &PACE, &mut Changes::default(), &clock).unwrap();
    let mut changes = Changes::default();
    campaign.confirmed(&request, &mut changes, &clock);

    let paused = changes.entries.iter().find(|entry| entry.action == crate::audit::Action::CampaignPaused).unwrap();
    assert_eq!((paused.call_volume_before, paused.answer_rate), (Some(100), asked_for.rate()));
}
