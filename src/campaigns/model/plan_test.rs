//! Table tests of the plan.

use std::time::Duration;

use jiff::Timestamp;
use uuid::Uuid;

use super::campaign::{Campaign, Timing};
use super::changes::Changes;
use super::hold::{Hold, PauseReason, Trigger};
use crate::audit::{Action, Actor};
use crate::campaigns::model::Counts;
use crate::clock::Clock;
use crate::cxone::{CampaignState, DialerCampaign};
use crate::types::CampaignId;

const TIMING: Timing = Timing {
    pause_lead: Duration::from_secs(2),
    uncertain_for: Duration::from_mins(1),
    check_interval: Duration::from_secs(45),
};

/// The command was stored while CXone was unavailable, and the dialer has gone on since.
#[test]
fn a_pause_that_is_sent_later_has_the_counts_from_when_it_was_requested() {
    let now: Timestamp = "2026-11-20T15:00:00Z".parse().unwrap();
    let clock = Clock::manual(move || now, 1);
    let mut campaign = Campaign::from_cxone(CampaignId::parse("c").unwrap(), CampaignState::Active, now);
    let requested = Counts { attempts: 100, answers: 20 };
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
        counts: requested,
        revision: 1,
    });
    campaign.counts = Counts { attempts: 900, answers: 900 };
    let shown = DialerCampaign {
        state: CampaignState::Active,
        pause_reason: None,
        resume_at: None,
        max_agents: Some(10),
        dialing_mode: None,
        is_partly_started: false,
        keeps_reasons: true,
    };

    let request = campaign.plan(&shown, &TIMING, &mut Changes::default(), &clock).unwrap();
    let mut changes = Changes::default();
    campaign.confirm(&request, &mut changes, &clock);

    let paused = changes.entries.iter().find(|entry| entry.action == Action::CampaignPaused).unwrap();
    assert_eq!((paused.call_volume_before, paused.answer_rate), (Some(100), requested.rate()));
}
