//! What Ringback has sent to CXone about a campaign, as far as it still matters.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::answer_rate::Counts;
use super::hold::{PauseReason, Trigger};
use crate::audit::Actor;
use crate::cxone::{CampaignState, DialerCampaign};

/// CXone may show the end of a pause rounded to a second.
const END_TOLERANCE: SignedDuration = SignedDuration::from_secs(1);
/// Uncertain requests that are remembered. There are more only where CXone fails all the time.
const MAX_UNCERTAIN: usize = 16;

/// Who requested a change, and when.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cause {
    pub by: Actor,
    pub triggered_by: Trigger,
    pub request_id: Option<String>,
    /// When it was requested, or became due.
    pub since: Timestamp,
    /// What CXone showed before.
    pub previous: CampaignState,
    /// The refusals that an override prevented, by the code of their problem.
    pub overrode: Vec<String>,
    /// What the dialer had done in the answer rate's window when it was requested.
    pub counts: Counts,
    /// Whether the answer rate caused the pause, or the pause that this change ends.
    pub by_answer_rate: bool,
    /// The scheduled callbacks that a pause covered when it was requested.
    pub affected_callbacks: Option<u32>,
    /// The command, which for a pause is also the id of its hold; `None` where Ringback itself is the cause.
    pub command_id: Option<Uuid>,
}

/// A pause that Ringback has sent, and that CXone has or may have carried out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SentPause {
    /// The reason that was sent.
    pub reason: Option<PauseReason>,
    /// The end that was sent.
    pub until: Option<Timestamp>,
    /// The agents that were sent.
    pub agents: Option<u32>,
    /// The agents that CXone showed before the pause.
    pub agents_before: Option<u32>,
    /// Whether it was sent without its attributes, because CXone has rejected them. No new end is sent for it either.
    pub is_minimal: bool,
    pub cause: Cause,
}

/// A change of state that was decided on, and that CXone has not confirmed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PendingChange {
    /// The id of the last request that was sent for it.
    pub id: Uuid,
    pub state: CampaignState,
    pub cause: Cause,
}

/// A request whose outcome is unknown. It may take effect late.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UncertainRequest {
    pub change: PendingChange,
    /// What was sent, where it was a pause.
    pub pause: Option<SentPause>,
    pub since: Timestamp,
    /// After this time it can no longer take effect.
    pub until: Timestamp,
}

/// What Ringback has sent about one campaign.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LastSent {
    /// While this is set, the pause of the campaign is Ringback's own.
    pub pause: Option<SentPause>,
    pub change: Option<PendingChange>,
    pub uncertain: Vec<UncertainRequest>,
    /// The end of the pause, as CXone showed it or was sent it last.
    pub shown_end: Option<Timestamp>,
    /// Consecutive rejections by CXone of what it was sent.
    pub rejections: u32,
    /// The agents to set again as before the pause, because CXone has started the campaign itself, or took only the state.
    pub agents_due: Option<u32>,
}

impl LastSent {
    /// Whether there is nothing to remember.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Adds a request before it is sent.
    pub fn add_uncertain(&mut self, change: PendingChange, pause: Option<SentPause>, now: Timestamp, until: Timestamp) {
        if self.uncertain.len() >= MAX_UNCERTAIN {
            self.uncertain.remove(0);
        }
        self.uncertain.push(UncertainRequest { change, pause, since: now, until });
    }

    /// Removes a request whose outcome is known.
    pub fn settle(&mut self, id: Uuid) {
        self.uncertain.retain(|request| request.change.id != id);
    }

    /// Removes and returns the last request that may have led to what CXone shows.
    pub fn take_late(&mut self, shown: &DialerCampaign) -> Option<UncertainRequest> {
        let matches = |request: &UncertainRequest| {
            request.change.state == shown.state && request.pause.as_ref().is_none_or(|pause| pause.matches(shown))
        };
        let index = self.uncertain.iter().rposition(matches)?;
        Some(self.uncertain.remove(index))
    }

    /// Whether the pause that CXone shows may be Ringback's.
    pub fn may_be_ours(&self, shown: &DialerCampaign) -> bool {
        self.pause.as_ref().is_some_and(|pause| pause.may_match(shown))
    }
}

impl SentPause {
    /// Whether CXone may show this pause. An attribute that CXone does not show matches any.
    fn may_match(&self, shown: &DialerCampaign) -> bool {
        let same_reason = self.is_minimal || shown.pause_reason.is_none() || self.has_reason(shown);
        let same_end = shown.resume_at.is_none_or(|shown| self.is_minimal || is_same_end(self.until, shown));
        same_reason && same_end
    }

    /// The agents from before the pause, unless somebody else has changed them since.
    pub fn max_agents_to_restore(&self, shown: &DialerCampaign) -> Option<u32> {
        let is_untouched = shown.max_agents.is_none() || shown.max_agents == self.agents;
        self.agents_before.filter(|_| is_untouched)
    }

    fn matches(&self, shown: &DialerCampaign) -> bool {
        (!shown.keeps_reasons || self.has_reason(shown)) && self.may_match(shown)
    }

    fn has_reason(&self, shown: &DialerCampaign) -> bool {
        shown.pause_reason.as_deref() == self.reason.as_ref().map(PauseReason::as_ref)
    }
}

fn is_same_end(sent: Option<Timestamp>, shown: Timestamp) -> bool {
    sent.is_some_and(|sent| sent.duration_since(shown).abs() < END_TOLERANCE)
}
