//! What the audit log says of a campaign.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;
use uuid::Uuid;

use super::campaign::{Campaign, Changes, Confirmed, Resume};
use super::hold::PauseReason;
use super::last_sent::{Cause, SentPause};
use crate::audit::{Action, Actor, Entry, Outcome};
use crate::clock::Clock;
use crate::cxone::{CampaignState, DialerCampaign};
use crate::webhooks::{CampaignEvent, Event};

impl Changes {
    /// The entry of a change that CXone has confirmed, where there is one.
    pub fn applied(&self) -> Option<Uuid> {
        let is_it = |entry: &&Entry| matches!(entry.action, Action::CampaignPaused | Action::CampaignResumed);
        self.entries.iter().rfind(is_it).map(|entry| entry.id)
    }
}

impl Campaign {
    /// An entry about this campaign.
    pub fn entry(&self, action: Action, by: Actor, outcome: Outcome, clock: &Clock) -> Entry {
        let now = clock.now();
        Entry {
            campaign_id: Some(self.id.to_string()),
            compliance_hold: Some(self.in_force(now).any(|hold| hold.compliance)),
            call_volume_before: i64::try_from(self.counts.attempts).ok(),
            answer_rate: self.counts.rate(),
            ..Entry::new(clock.new_id(), now, action, by, outcome)
        }
    }

    /// CXone has confirmed a pause.
    pub(super) fn record_paused(&self, pause: &SentPause, cause: &Cause, changes: &mut Changes, clock: &Clock) {
        self.record_change(CampaignState::Paused, Some(pause), cause, changes, clock);
    }

    /// CXone has confirmed a start.
    pub(super) fn record_resumed(&self, cause: &Cause, changes: &mut Changes, clock: &Clock) {
        self.record_change(CampaignState::Active, self.sent.pause.as_ref(), cause, changes, clock);
    }

    fn record_change(
        &self,
        state: CampaignState,
        pause: Option<&SentPause>,
        cause: &Cause,
        changes: &mut Changes,
        clock: &Clock,
    ) {
        let now = clock.now();
        let is_pause = state == CampaignState::Paused;
        let action = if is_pause { Action::CampaignPaused } else { Action::CampaignResumed };
        let holds: Vec<_> = self.in_force(now).map(|hold| hold.id).collect();
        let ends_throttle = !is_pause && pause.is_some_and(|pause| pause.cause.by_answer_rate);
        let detail = ChangeDetail {
            pause_reason: pause.and_then(|pause| pause.reason),
            scheduled_resume_time: pause.and_then(|pause| pause.until).filter(|_| is_pause),
            holds,
            overrode: &cause.overrode,
            by_answer_rate: cause.by_answer_rate || ends_throttle,
            affected_callbacks: cause.affected_callbacks,
        };
        let event = Event::Campaign(CampaignEvent {
            pause_reason: detail.pause_reason.map(PauseReason::as_str),
            by_answer_rate: detail.by_answer_rate,
            scheduled_resume_time: detail.scheduled_resume_time,
        });
        let entry = Entry {
            previous_state: Some(cause.previous.as_str().into()),
            new_state: Some(state.as_str().into()),
            latency_ms: Some(now.duration_since(cause.since).as_millis().try_into().unwrap_or(i64::MAX).max(0)),
            triggered_by: Some(cause.triggered_by.as_str().into()),
            request_id: cause.request_id.clone(),
            call_volume_before: i64::try_from(cause.counts.attempts).ok(),
            answer_rate: cause.counts.rate(),
            // It is confirmed only now.
            call_volume_after: Some(0),
            ..self.entry(action, cause.by.clone(), Outcome::Succeeded, clock).with_detail(&detail)
        }
        .with_event(&event);
        if let Some(command_id) = cause.command_id {
            let report = json!({ "status": "applied", "state": state, "audit_id": entry.id, "failure": null });
            changes.confirmed.push(Confirmed { command_id, report });
        }
        changes.entries.push(entry);
    }

    /// Somebody else has changed the campaign.
    pub(super) fn record_changed_outside(
        &self,
        before: Option<CampaignState>,
        shown: &DialerCampaign,
        changes: &mut Changes,
        clock: &Clock,
    ) {
        let entry = self.entry(Action::CampaignChangedOutside, Actor::outside(), Outcome::Succeeded, clock);
        changes.entries.push(Entry {
            previous_state: before.map(|state| state.as_str().into()),
            new_state: Some(shown.state.as_str().into()),
            ..entry.with_detail(&ChangedOutsideDetail {
                pause_reason: shown.pause_reason.as_deref(),
                scheduled_resume_time: shown.resume_at,
            })
        });
    }

    /// A command to resume that needed nothing: somebody else has started the campaign.
    pub fn record_resume_unchanged(&self, before: Option<Resume>, changes: &mut Changes, clock: &Clock) {
        let Some(resume) = before.filter(|resume| self.resume.is_none() && !resume.is_scheduled) else { return };
        if changes.applied().is_some() {
            return;
        }
        let cause = resume.cause;
        let entry = self.entry(Action::CampaignResumeUnchanged, cause.by.clone(), Outcome::Unchanged, clock);
        let state = self.seen.map(|(state, _)| state);
        if let Some(command_id) = cause.command_id {
            let report = json!({ "status": "unchanged", "state": state, "audit_id": entry.id, "failure": null });
            changes.confirmed.push(Confirmed { command_id, report });
        }
        changes.entries.push(Entry {
            previous_state: state.map(|state| state.as_str().into()),
            new_state: state.map(|state| state.as_str().into()),
            triggered_by: Some(cause.triggered_by.as_str().into()),
            request_id: cause.request_id,
            ..entry
        });
    }

    /// An accepted resume that is not carried out any more, and why.
    pub(super) fn record_resume_dropped(&self, cause: &Cause, why: &str, changes: &mut Changes, clock: &Clock) {
        let entry = self.entry(Action::CampaignResumeDropped, cause.by.clone(), Outcome::Unchanged, clock);
        let state = self.seen.map(|(state, _)| state.as_str().to_owned());
        changes.entries.push(Entry {
            previous_state: state.clone(),
            new_state: state,
            triggered_by: Some(cause.triggered_by.as_str().into()),
            request_id: cause.request_id.clone(),
            ..entry.with_detail(&DroppedDetail { reason: why })
        });
    }
}

/// The detail of a change that CXone has confirmed.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ChangeDetail<'a> {
    pause_reason: Option<PauseReason>,
    scheduled_resume_time: Option<Timestamp>,
    /// The holds in force.
    holds: Vec<Uuid>,
    overrode: &'a [String],
    by_answer_rate: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    affected_callbacks: Option<u32>,
}

/// The detail of a change that was made in CXone, as CXone shows it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ChangedOutsideDetail<'a> {
    pause_reason: Option<&'a str>,
    scheduled_resume_time: Option<Timestamp>,
}

/// The detail of a resume that is not carried out.
#[derive(Serialize)]
struct DroppedDetail<'a> {
    reason: &'a str,
}
