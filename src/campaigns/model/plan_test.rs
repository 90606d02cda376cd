//! Table tests of the plan, and of when a campaign is worked on.

use std::time::Duration;

use jiff::{Timestamp, ToSpan as _};
use uuid::Uuid;

use super::campaign::{Campaign, Timing};
use super::changes::Changes;
use super::hold::{Hold, PauseReason, Trigger};
use crate::audit::{Action, Actor};
use crate::campaigns::model::Counts;
use crate::clock::Clock;
use crate::cxone::{CampaignState, CxoneError, DialerCampaign};
use crate::types::CampaignId;

const TIMING: Timing = Timing {
    pause_lead: Duration::from_secs(2),
    uncertain_for: Duration::from_mins(1),
    check_interval: Duration::from_secs(45),
};

fn hold(placed_at: Timestamp, counts: Counts) -> Hold {
    Hold {
        id: Uuid::from_u128(7),
        reason: PauseReason::CarrierThrottle,
        compliance: false,
        triggered_by: Trigger::ManualPause,
        placed_by: Actor::operator(),
        placed_at,
        ends_at: None,
        max_agents: None,
        regulatory_window: None,
        request_id: None,
        affected_callbacks: None,
        counts,
        revision: 1,
    }
}

fn shown(state: CampaignState, resume_at: Option<Timestamp>) -> DialerCampaign {
    DialerCampaign {
        state,
        pause_reason: None,
        resume_at,
        max_agents: Some(10),
        dialing_mode: None,
        is_partly_started: false,
        keeps_reasons: true,
    }
}

/// Somebody has paused it in CXone until then, and the hold lasts longer.
#[test]
fn a_held_campaign_whose_pause_ends_in_cxone_is_read_once_at_that_time() {
    let now: Timestamp = "2026-11-20T15:00:00Z".parse().unwrap();
    let (end, read_at) = (now + 60.seconds(), now + 61.seconds());
    let mut campaign = Campaign::from_cxone(CampaignId::parse("c").unwrap(), CampaignState::Paused, now);
    campaign.holds.push(hold(now, Counts::default()));
    let plan_at = |campaign: &mut Campaign, at: Timestamp| {
        let clock = Clock::manual(move || at, 1);
        campaign.plan(&shown(CampaignState::Paused, Some(end)), &TIMING, &mut Changes::default(), &clock)
    };
    assert_eq!(plan_at(&mut campaign, now), None);
    assert_eq!(campaign.next_due(now, &TIMING), Some(read_at));
    assert!(!campaign.is_due(end, &TIMING) && campaign.is_due(read_at, &TIMING));
    assert_eq!(plan_at(&mut campaign, read_at), None);
    assert!(!campaign.is_due(read_at, &TIMING) && campaign.next_due(read_at, &TIMING).is_none());
}

#[test]
fn while_cxone_takes_no_requests_the_pause_of_a_campaign_that_may_be_dialing_stays_urgent() {
    let now: Timestamp = "2026-11-20T15:00:00Z".parse().unwrap();
    let clock = Clock::manual(move || now, 1);
    let reason = String::new;
    for (state, error, is_urgent) in [
        (None, CxoneError::unavailable(reason()), true),
        (None, CxoneError::ServerError { retry_after: None, reason: reason() }, false),
        (Some(CampaignState::Active), CxoneError::ServerError { retry_after: None, reason: reason() }, true),
    ] {
        let mut campaign = Campaign::from_cxone(CampaignId::parse("c").unwrap(), CampaignState::Active, now);
        campaign.seen = state.map(|state| (state, now));
        campaign.holds.push(hold(now, Counts::default()));
        for _ in 0..20 {
            campaign.record_failure(&error, &TIMING, &clock);
        }
        assert_eq!(campaign.is_urgent(now, &TIMING), is_urgent, "{state:?} {error}");
        assert_eq!(campaign.due_at.is_some(), is_urgent, "{state:?} {error}");
    }
}

/// The command was stored while CXone was unavailable, and the dialer has gone on since.
#[test]
fn a_pause_that_is_sent_later_has_the_counts_from_when_it_was_requested() {
    let now: Timestamp = "2026-11-20T15:00:00Z".parse().unwrap();
    let clock = Clock::manual(move || now, 1);
    let mut campaign = Campaign::from_cxone(CampaignId::parse("c").unwrap(), CampaignState::Active, now);
    let requested = Counts { attempts: 100, answers: 20 };
    campaign.holds.push(hold(now, requested));
    campaign.counts = Counts { attempts: 900, answers: 900 };
    let shown = shown(CampaignState::Active, None);

    let request = campaign.plan(&shown, &TIMING, &mut Changes::default(), &clock).unwrap();
    let mut changes = Changes::default();
    campaign.confirm(&request, &mut changes, &clock);

    let paused = changes.entries.iter().find(|entry| entry.action == Action::CampaignPaused).unwrap();
    assert_eq!((paused.call_volume_before, paused.answer_rate), (Some(100), requested.rate()));
}
