//! The audit entries of campaigns and their commands.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;
use uuid::Uuid;

use super::campaign::{Campaign, Resume};
use super::changes::{Changes, Confirmed};
use super::command::{Command, CommandKind, Refusal};
use super::hold::{Hold, PauseReason, Trigger};
use super::last_sent::{Cause, SentPause};
use super::report::Status;
use crate::audit::{Action, Actor, Entry, Outcome};
use crate::clock::Clock;
use crate::cxone::{CampaignState, DialerCampaign};
use crate::types::CampaignId;
use crate::webhooks::{CampaignEvent, Event};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct HoldPlaced {
    hold_id: Uuid,
    pause_reason: PauseReason,
    ends_at: Option<Timestamp>,
    max_agents: Option<u32>,
    affected_callbacks: Option<u32>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct HoldExtended {
    hold_id: Uuid,
    pause_reason: PauseReason,
    ends_at: Option<Timestamp>,
    previous_ends_at: Option<Timestamp>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct HoldLifted<'a> {
    hold_id: Uuid,
    pause_reason: PauseReason,
    placed_by: &'a Actor,
    placed_at: Timestamp,
    ends_at: Option<Timestamp>,
    before_its_time: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CampaignChanged<'a> {
    pause_reason: Option<PauseReason>,
    scheduled_resume_time: Option<Timestamp>,
    /// The ids of the holds in force.
    holds: Vec<Uuid>,
    overrode: &'a [String],
    by_answer_rate: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    affected_callbacks: Option<u32>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ChangedOutside {
    /// Null for one that Ringback does not know, which may be any text.
    pause_reason: Option<PauseReason>,
    scheduled_resume_time: Option<Timestamp>,
}

#[derive(Serialize)]
struct ResumeDropped<'a> {
    reason: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CommandNotApplied {
    /// The ids of the holds in force.
    holds: Vec<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    affected_callbacks: Option<u32>,
}

#[derive(Serialize)]
struct CommandRefused {
    problem: &'static str,
}

/// The members of a stored report that change when CXone confirms its command.
#[derive(Serialize)]
struct ConfirmedReport {
    status: Status,
    state: Option<CampaignState>,
    audit_id: Uuid,
    failure: Option<()>,
}

impl Changes {
    /// Adds an entry about the confirmation of a change, and updates the report of the command behind it.
    fn confirm(&mut self, cause: &Cause, status: Status, state: Option<CampaignState>, entry: Entry) {
        if let Some(command_id) = cause.command_id {
            let report = json!(ConfirmedReport { status, state, audit_id: entry.id, failure: None });
            self.confirmed.push(Confirmed { command_id, report });
        }
        if status == Status::Applied {
            self.applied = Some(entry.id);
        }
        self.entries.push(entry);
    }
}

impl Campaign {
    fn entry(&self, action: Action, by: Actor, outcome: Outcome, clock: &Clock) -> Entry {
        let now = clock.now();
        Entry {
            campaign_id: Some(self.id.to_string()),
            compliance_hold: Some(self.in_force(now).any(|hold| hold.compliance)),
            call_volume_before: i64::try_from(self.counts.attempts).ok(),
            answer_rate: self.counts.rate(),
            ..Entry::new(clock.new_id(), now, action, by, outcome)
        }
    }

    /// The entry of a command that was given up or needed no change.
    fn unchanged_entry(&self, action: Action, cause: &Cause, clock: &Clock) -> Entry {
        let state = self.state().map(|state| state.as_str().to_owned());
        Entry {
            previous_state: state.clone(),
            new_state: state,
            triggered_by: Some(cause.triggered_by.as_ref().into()),
            request_id: cause.request_id.clone(),
            ..self.entry(action, cause.by.clone(), Outcome::Unchanged, clock)
        }
    }

    pub(super) fn hold_placed_entry(&self, hold: &Hold, clock: &Clock) -> Entry {
        Entry {
            compliance_hold: Some(hold.compliance),
            triggered_by: Some(hold.triggered_by.as_ref().into()),
            request_id: hold.request_id.clone(),
            ..self.entry(Action::HoldPlaced, hold.placed_by.clone(), Outcome::Succeeded, clock).with_detail(
                &HoldPlaced {
                    hold_id: hold.id,
                    pause_reason: hold.reason,
                    ends_at: hold.ends_at,
                    max_agents: hold.max_agents,
                    affected_callbacks: hold.affected_callbacks,
                },
            )
        }
    }

    /// `again` is the repeated pause that moved the hold's end.
    pub(super) fn hold_extended_entry(
        &self,
        hold: &Hold,
        previous_ends_at: Option<Timestamp>,
        again: &Hold,
        clock: &Clock,
    ) -> Entry {
        Entry {
            compliance_hold: Some(hold.compliance),
            triggered_by: Some(hold.triggered_by.as_ref().into()),
            request_id: again.request_id.clone(),
            ..self.entry(Action::HoldExtended, again.placed_by.clone(), Outcome::Succeeded, clock).with_detail(
                &HoldExtended { hold_id: hold.id, pause_reason: hold.reason, ends_at: hold.ends_at, previous_ends_at },
            )
        }
    }

    pub(super) fn hold_lifted_entry(
        &self,
        hold: &Hold,
        by: &Actor,
        trigger: Trigger,
        request_id: Option<&str>,
        clock: &Clock,
    ) -> Entry {
        let now = clock.now();
        Entry {
            compliance_hold: Some(hold.compliance),
            triggered_by: Some(trigger.as_ref().into()),
            request_id: request_id.map(Into::into),
            ..self.entry(Action::HoldLifted, by.clone(), Outcome::Succeeded, clock).with_detail(&HoldLifted {
                hold_id: hold.id,
                pause_reason: hold.reason,
                placed_by: &hold.placed_by,
                placed_at: hold.placed_at,
                ends_at: hold.ends_at,
                before_its_time: hold.ends_at.is_none_or(|end| now < end),
            })
        }
    }

    /// Records that CXone has confirmed a pause.
    pub(super) fn record_paused(&self, pause: &SentPause, cause: &Cause, changes: &mut Changes, clock: &Clock) {
        let detail = CampaignChanged {
            pause_reason: pause.reason,
            scheduled_resume_time: pause.until,
            holds: self.in_force(clock.now()).map(|hold| hold.id).collect(),
            overrode: &cause.overrode,
            by_answer_rate: cause.by_answer_rate,
            affected_callbacks: cause.affected_callbacks,
        };
        let entry = self.changed_entry(Action::CampaignPaused, CampaignState::Paused, cause, &detail, clock);
        changes.confirm(cause, Status::Applied, Some(CampaignState::Paused), entry);
    }

    /// Records that CXone has confirmed a start.
    pub(super) fn record_resumed(&self, cause: &Cause, changes: &mut Changes, clock: &Clock) {
        let pause = self.last_sent.pause.as_ref();
        let detail = CampaignChanged {
            pause_reason: pause.and_then(|pause| pause.reason),
            scheduled_resume_time: None,
            holds: self.in_force(clock.now()).map(|hold| hold.id).collect(),
            overrode: &cause.overrode,
            by_answer_rate: cause.by_answer_rate || pause.is_some_and(|pause| pause.cause.by_answer_rate),
            affected_callbacks: cause.affected_callbacks,
        };
        let entry = self.changed_entry(Action::CampaignResumed, CampaignState::Active, cause, &detail, clock);
        changes.confirm(cause, Status::Applied, Some(CampaignState::Active), entry);
    }

    fn changed_entry(
        &self,
        action: Action,
        state: CampaignState,
        cause: &Cause,
        detail: &CampaignChanged<'_>,
        clock: &Clock,
    ) -> Entry {
        let latency = clock.now().duration_since(cause.since).as_millis();
        let entry = Entry {
            previous_state: Some(cause.previous.as_str().into()),
            new_state: Some(state.as_str().into()),
            latency_ms: Some(latency.try_into().unwrap_or(i64::MAX).max(0)),
            triggered_by: Some(cause.triggered_by.as_ref().into()),
            request_id: cause.request_id.clone(),
            call_volume_before: i64::try_from(cause.counts.attempts).ok(),
            answer_rate: cause.counts.rate(),
            // The change was confirmed just now.
            call_volume_after: Some(0),
            ..self.entry(action, cause.by.clone(), Outcome::Succeeded, clock)
        };
        entry.with_detail(detail).with_event(&Event::Campaign(CampaignEvent {
            pause_reason: detail.pause_reason.map(Into::into),
            by_answer_rate: detail.by_answer_rate,
            scheduled_resume_time: detail.scheduled_resume_time,
        }))
    }

    /// Records that the campaign was changed outside Ringback.
    pub(super) fn record_changed_outside(
        &self,
        before: Option<CampaignState>,
        shown: &DialerCampaign,
        changes: &mut Changes,
        clock: &Clock,
    ) {
        changes.entries.push(Entry {
            previous_state: before.map(|state| state.as_str().into()),
            new_state: Some(shown.state.as_str().into()),
            ..self.entry(Action::CampaignChangedOutside, Actor::outside(), Outcome::Succeeded, clock).with_detail(
                &ChangedOutside {
                    pause_reason: shown.pause_reason.as_deref().and_then(|reason| PauseReason::parse(reason).ok()),
                    scheduled_resume_time: shown.resume_at,
                },
            )
        });
    }

    /// Records that a command to resume needed no change, because the campaign was started outside Ringback. `before` is
    /// the resume before CXone was read.
    pub fn record_resume_unchanged(&self, before: Option<Resume>, changes: &mut Changes, clock: &Clock) {
        let Some(resume) = before.filter(|resume| self.resume.is_none() && !resume.is_scheduled) else { return };
        if changes.applied.is_some() {
            return;
        }
        let entry = self.unchanged_entry(Action::CampaignResumeUnchanged, &resume.cause, clock);
        changes.confirm(&resume.cause, Status::Unchanged, self.state(), entry);
    }

    /// Records that an accepted resume is not carried out any more, and why.
    pub(super) fn record_resume_dropped(&self, cause: &Cause, reason: &str, changes: &mut Changes, clock: &Clock) {
        let entry = self.unchanged_entry(Action::CampaignResumeDropped, cause, clock);
        changes.entries.push(entry.with_detail(&ResumeDropped { reason }));
    }

    /// The entry of a command that needed no change in CXone.
    pub fn command_unchanged_entry(&self, command: &Command, clock: &Clock) -> Entry {
        let action = match command.kind {
            CommandKind::Pause(_) => Action::CampaignPauseUnchanged,
            CommandKind::Resume { .. } => Action::CampaignResumeUnchanged,
        };
        self.not_applied_entry(command, action, Outcome::Unchanged, clock)
    }

    /// The entry of a command that CXone has not confirmed when it is answered. A command has one at most.
    pub fn command_pending_entry(&self, command: &Command, clock: &Clock) -> Entry {
        let action = match command.kind {
            CommandKind::Pause(_) => Action::CampaignPausePending,
            CommandKind::Resume { .. } => Action::CampaignResumePending,
        };
        Entry { id: command.id, ..self.not_applied_entry(command, action, Outcome::Pending, clock) }
    }

    fn not_applied_entry(&self, command: &Command, action: Action, outcome: Outcome, clock: &Clock) -> Entry {
        let state = self.state().map(|state| state.as_str().to_owned());
        let detail = CommandNotApplied {
            holds: self.in_force(clock.now()).map(|hold| hold.id).collect(),
            affected_callbacks: command.affected_callbacks(),
        };
        Entry {
            previous_state: state.clone(),
            new_state: state,
            compliance_hold: Some(self.in_force(clock.now()).any(|hold| hold.compliance)),
            ..command.entry(&self.id, action, outcome, clock).with_detail(&detail)
        }
    }
}

impl Command {
    /// The entry of this command when it is refused.
    pub fn refused_entry(&self, campaign: &CampaignId, refusal: &Refusal, clock: &Clock) -> Entry {
        let action = match self.kind {
            CommandKind::Pause(_) => Action::CampaignPauseRefused,
            CommandKind::Resume { .. } => Action::CampaignResumeRefused,
        };
        self.entry(campaign, action, Outcome::Refused, clock).with_detail(&CommandRefused { problem: refusal.code() })
    }

    fn entry(&self, campaign: &CampaignId, action: Action, outcome: Outcome, clock: &Clock) -> Entry {
        let now = clock.now();
        Entry {
            campaign_id: Some(campaign.to_string()),
            latency_ms: Some(now.duration_since(self.arrived_at).as_millis().try_into().unwrap_or(i64::MAX)),
            triggered_by: Some(self.kind.trigger().as_ref().into()),
            request_id: self.request_id.clone(),
            ..Entry::new(clock.new_id(), now, action, self.by.clone(), outcome)
        }
    }
}
