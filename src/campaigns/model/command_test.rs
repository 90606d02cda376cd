//! Table tests of commands: when they are refused, and what they do to the holds and the resume.

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::answer_rate::Counts;
use super::campaign::Campaign;
use super::changes::Changes;
use super::command::{Command, CommandKind, Refusal};
use super::hold::{Hold, PauseReason, Trigger};
use crate::audit::{Action, Actor};
use crate::clock::Clock;
use crate::cxone::{CampaignState, DialerCampaign};
use crate::trace::Traceparent;
use crate::types::{CampaignId, DailyWindow, TimeZone, parse_time_of_day};

const CARRIER: Uuid = Uuid::from_u128(1);
const COMPLIANCE: Uuid = Uuid::from_u128(2);
const COMMAND: Uuid = Uuid::from_u128(9);
const REVISION: i64 = 5;

fn at(text: &str) -> Timestamp {
    format!("2026-11-20T{text}Z").parse().unwrap()
}

fn now() -> Timestamp {
    at("15:00:00")
}

fn clock() -> Clock {
    Clock::manual(now, 1)
}

fn hold(id: Uuid) -> Hold {
    let compliance = id == COMPLIANCE;
    Hold {
        id,
        reason: if compliance { PauseReason::ComplianceHold } else { PauseReason::CarrierThrottle },
        compliance,
        triggered_by: Trigger::ManualPause,
        placed_by: Actor::operator(),
        placed_at: at("14:00:00"),
        ends_at: Some(at("16:00:00")),
        max_agents: None,
        regulatory_window: None,
        request_id: None,
        affected_callbacks: None,
        counts: Counts::default(),
        revision: 1,
    }
}

fn campaign(holds: &[Uuid]) -> Campaign {
    let mut campaign = Campaign::from_cxone(CampaignId::parse("c").unwrap(), CampaignState::Paused, now());
    campaign.revision = REVISION;
    campaign.holds = holds.iter().copied().map(hold).collect();
    campaign
}

fn command(kind: CommandKind, may_override: bool) -> Command {
    Command {
        id: COMMAND,
        is_repeated: false,
        revision: REVISION,
        kind,
        by: Actor::operator(),
        request_id: None,
        trace: Traceparent::root(COMMAND),
        arrived_at: now(),
        may_override,
    }
}

fn resume(reason: Option<PauseReason>, hold_id: Option<Uuid>, force: bool) -> CommandKind {
    CommandKind::Resume { reason, hold_id, max_agents: None, force }
}

fn apply(campaign: &mut Campaign, command: &Command) -> Result<Changes, Refusal> {
    let mut changes = Changes::default();
    campaign.apply(command, None, &mut changes, &clock())?;
    Ok(changes)
}

#[test]
fn a_resume_lifts_the_holds_that_it_selects_and_dials_where_none_is_left() {
    use PauseReason::{AgentCapacity, CarrierThrottle};
    let agents = Uuid::from_u128(3);
    let both = || {
        let mut campaign = campaign(&[CARRIER, agents]);
        campaign.holds[1].reason = AgentCapacity;
        campaign
    };
    for (reason, hold_id, left, has_resume) in [
        (None, None, vec![], true),
        (Some(CarrierThrottle), None, vec![agents], false),
        (None, Some(agents), vec![CARRIER], false),
        (Some(PauseReason::Scheduled), None, vec![CARRIER, agents], false),
    ] {
        let mut campaign = both();
        apply(&mut campaign, &command(resume(reason, hold_id, false), false)).unwrap();
        assert_eq!(campaign.holds.iter().map(|hold| hold.id).collect::<Vec<_>>(), left, "{reason:?} {hold_id:?}");
        assert_eq!(campaign.resume.is_some(), has_resume, "{reason:?} {hold_id:?}");
    }
}

#[test]
fn a_resume_does_not_lift_a_hold_that_was_placed_after_it_arrived_but_is_accepted() {
    let mut campaign = campaign(&[CARRIER]);
    campaign.holds[0].revision = REVISION + 1;
    apply(&mut campaign, &command(resume(None, None, false), false)).unwrap();
    assert_eq!(campaign.holds.len(), 1);
    assert!(campaign.resume.is_some());
}

#[test]
fn a_resume_of_a_hold_that_is_not_there_is_refused() {
    let result = apply(&mut campaign(&[CARRIER]), &command(resume(None, Some(COMPLIANCE), false), false));
    assert_eq!(result.unwrap_err(), Refusal::HoldNotFound);
}

#[test]
fn only_a_caller_who_may_override_lifts_a_compliance_hold_before_its_end() {
    for (force, may_override, is_refused) in
        [(false, false, true), (true, false, true), (false, true, true), (true, true, false)]
    {
        let mut campaign = campaign(&[CARRIER, COMPLIANCE]);
        let result = apply(&mut campaign, &command(resume(None, None, force), may_override));
        if is_refused {
            let (ends_at, next_opening) = (Some(at("16:00:00")), Some(at("16:00:00")));
            let refusal = Refusal::HoldInForce { hold: COMPLIANCE, ends_at, next_opening };
            assert_eq!(result.unwrap_err(), refusal, "{force} {may_override}");
        } else {
            assert_eq!(campaign.resume.unwrap().cause.overrode, ["hold-in-force"]);
        }
    }
}

#[test]
fn a_resume_outside_the_window_is_refused_unless_it_is_forced_until_the_next_opening() {
    let time = |text| parse_time_of_day(text).unwrap();
    let window = DailyWindow::new(time("9:00"), time("14:30"), TimeZone::parse("UTC").unwrap()).unwrap();
    let next_opening: Timestamp = "2026-11-21T09:00:00Z".parse().unwrap();
    let closed = || {
        let mut campaign = campaign(&[]);
        campaign.settings.regulatory_window = Some(window.clone());
        campaign
    };
    let result = apply(&mut closed(), &command(resume(None, None, false), true));
    assert_eq!(result.unwrap_err(), Refusal::OutsideWindow { next_opening });

    let mut campaign = closed();
    apply(&mut campaign, &command(resume(None, None, true), true)).unwrap();
    assert_eq!(campaign.override_until, Some(next_opening));
    let resume = campaign.resume.unwrap();
    assert_eq!((resume.starts_at(now()), resume.forced_until), (now(), Some(next_opening)));
    assert_eq!(resume.cause.overrode, ["outside-regulatory-window"]);
}

#[test]
fn the_same_pause_again_moves_the_end_of_its_hold_only_later() {
    let hours = |hours| Some(at("16:00:00") + SignedDuration::from_hours(hours));
    for (before, again, after) in
        [(hours(0), hours(1), hours(1)), (hours(1), hours(0), hours(1)), (hours(0), None, None), (None, hours(1), None)]
    {
        let mut campaign = campaign(&[CARRIER]);
        campaign.holds[0].ends_at = before;
        let again = Hold { id: COMMAND, ends_at: again, ..hold(CARRIER) };
        let changes = apply(&mut campaign, &command(CommandKind::Pause(Box::new(again)), false)).unwrap();
        assert_eq!(campaign.holds, [Hold { ends_at: after, revision: REVISION + 1, ..hold(CARRIER) }]);
        let expected: &[Action] = if before == after { &[] } else { &[Action::HoldExtended] };
        assert_eq!(changes.entries.iter().map(|entry| entry.action.clone()).collect::<Vec<_>>(), expected);
    }
}

#[test]
fn another_pause_places_another_hold() {
    for (name, other) in [
        ("reason", Hold { reason: PauseReason::Scheduled, ..hold(CARRIER) }),
        ("agents", Hold { max_agents: Some(1), ..hold(CARRIER) }),
        ("caller", Hold { placed_by: Actor::system("other"), ..hold(CARRIER) }),
        ("trigger", Hold { triggered_by: Trigger::SlidingWindowThrottle, ..hold(CARRIER) }),
    ] {
        let mut campaign = campaign(&[CARRIER]);
        let pause = CommandKind::Pause(Box::new(Hold { id: COMMAND, ..other }));
        apply(&mut campaign, &command(pause, false)).unwrap();
        assert_eq!(campaign.holds.len(), 2, "{name}");
    }
}

#[test]
fn the_answer_rate_pauses_a_campaign_only_once_and_not_for_counts_from_before_its_start() {
    let throttle = || Hold { id: COMMAND, triggered_by: Trigger::SlidingWindowThrottle, ..hold(CARRIER) };
    let pause = || command(CommandKind::Pause(Box::new(throttle())), false);
    let mut campaign = campaign(&[]);
    apply(&mut campaign, &pause()).unwrap();
    assert_eq!(apply(&mut campaign, &pause()).unwrap_err(), Refusal::AlreadyThrottled);

    campaign.holds.clear();
    campaign.counted_from = Some(at("15:00:01"));
    assert_eq!(apply(&mut campaign, &pause()).unwrap_err(), Refusal::AlreadyThrottled);
}

#[test]
fn a_campaign_that_is_not_running_refuses_every_command() {
    for state in [CampaignState::Inactive, CampaignState::Suspended] {
        for kind in [resume(None, None, true), CommandKind::Pause(Box::new(hold(CARRIER)))] {
            let shown = DialerCampaign {
                state,
                pause_reason: None,
                resume_at: None,
                max_agents: None,
                dialing_mode: None,
                is_partly_started: false,
                keeps_reasons: true,
            };
            let mut changes = Changes::default();
            let result = campaign(&[]).apply(&command(kind, true), Some(&shown), &mut changes, &clock());
            assert_eq!(result, Err(Refusal::NotRunning(state)));
        }
    }
}

#[test]
fn the_end_of_the_last_hold_becomes_a_resume_only_of_a_pause_of_ringbacks_own() {
    let timing = super::campaign::Timing {
        pause_lead: std::time::Duration::from_secs(2),
        uncertain_for: std::time::Duration::from_mins(1),
        check_interval: std::time::Duration::from_secs(45),
    };
    let shown = DialerCampaign {
        state: CampaignState::Active,
        pause_reason: None,
        resume_at: None,
        max_agents: None,
        dialing_mode: None,
        is_partly_started: false,
        keeps_reasons: true,
    };
    for is_own in [true, false] {
        let mut campaign = campaign(&[CARRIER]);
        if is_own {
            campaign.plan(&shown, &timing, &mut Changes::default(), &clock()).unwrap();
        }
        let (mut changes, later) = (Changes::default(), Clock::manual(|| at("16:00:00"), 2));
        campaign.advance(&timing, &mut changes, &later);
        assert!(campaign.holds.is_empty());
        assert_eq!(campaign.resume.map(|resume| resume.is_scheduled), is_own.then_some(true));
    }
}
