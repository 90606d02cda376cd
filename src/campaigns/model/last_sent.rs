//! What Ringback has sent to CXone about a campaign, as far as it still matters. Pure.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::hold::{PauseReason, Trigger};
use crate::audit::Actor;
use crate::campaigns::model::Counts;
use crate::cxone::{CampaignState, DialerCampaign};

/// CXone may show the end of a pause rounded to a second.
const SAME_END: SignedDuration = SignedDuration::from_secs(1);
/// Requests of unknown outcome that are remembered; more are only sent where CXone fails all the time.
const MOST_DOUBTS: usize = 16;

/// Who wanted a change, and since when.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cause {
    pub by: Actor,
    pub triggered_by: Trigger,
    pub request_id: Option<String>,
    /// When it was asked for, or fell due.
    pub since: Timestamp,
    /// What CXone showed before.
    pub previous: CampaignState,
    /// What an override put aside.
    pub overrode: Vec<String>,
    /// What its dialer had done when it was asked for, in the answer rate's window.
    pub counts: Counts,
    /// Whether the answer rate caused the pause, also one that is being ended.
    pub by_answer_rate: bool,
    /// Scheduled callbacks that a pause covered when it was asked for.
    pub affected_callbacks: Option<u32>,
    /// The command, which for a pause is also the id of its hold; absent where Ringback itself is the cause.
    pub command_id: Option<Uuid>,
}

/// A pause of Ringback's that CXone has, or may have.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SentPause {
    /// As it was sent.
    pub reason: Option<PauseReason>,
    /// As it was sent.
    pub until: Option<Timestamp>,
    /// As it was sent.
    pub agents: Option<u32>,
    /// What CXone showed before the pause.
    pub agents_before: Option<u32>,
    /// CXone has refused its attributes: only the state was sent, and no new end is sent either.
    pub is_plain: bool,
    pub cause: Cause,
}

/// A change that was decided on and that CXone has not confirmed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// Of the request that was sent last for it.
    pub id: Uuid,
    pub state: CampaignState,
    pub cause: Cause,
}

/// A request whose outcome is unknown: it may take effect late.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Doubt {
    pub change: Change,
    /// Where it was a pause.
    pub pause: Option<SentPause>,
    pub since: Timestamp,
    /// After this it takes effect no more.
    pub until: Timestamp,
}

/// All of that.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LastSent {
    /// While it is kept, the campaign's pause is Ringback's own.
    pub pause: Option<SentPause>,
    pub change: Option<Change>,
    pub doubts: Vec<Doubt>,
    /// How often in a row CXone has refused what it was sent.
    pub refusals: u32,
    /// The agents that the campaign still lacks of those before its pause: CXone has started it by itself, or took only the
    /// state.
    pub agents_due: Option<u32>,
}

impl LastSent {
    /// Whether nothing of it matters any more.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Notes a request before it is sent.
    pub fn expect(&mut self, change: Change, pause: Option<SentPause>, now: Timestamp, until: Timestamp) {
        if self.doubts.len() >= MOST_DOUBTS {
            self.doubts.remove(0);
        }
        self.doubts.push(Doubt { change, pause, since: now, until });
    }

    /// The outcome of a request is known.
    pub fn settle(&mut self, request: Uuid) {
        self.doubts.retain(|doubt| doubt.change.id != request);
    }

    /// Takes a request out that may have brought the campaign into the state that CXone shows.
    pub fn take_late(&mut self, shown: &DialerCampaign) -> Option<Doubt> {
        let is_it = |doubt: &Doubt| {
            doubt.change.state == shown.state && doubt.pause.as_ref().is_none_or(|pause| pause.is_exactly(shown))
        };
        let place = self.doubts.iter().rposition(is_it)?;
        Some(self.doubts.remove(place))
    }

    /// Whether the pause that CXone shows can be Ringback's.
    pub fn may_be_ours(&self, shown: &DialerCampaign) -> bool {
        self.pause.as_ref().is_some_and(|pause| pause.may_be(shown))
    }
}

impl SentPause {
    /// What CXone does not show says nothing.
    fn may_be(&self, shown: &DialerCampaign) -> bool {
        let same_reason = self.is_plain || shown.pause_reason.is_none() || self.has_reason_of(shown);
        let same_end = shown.resume_at.is_none_or(|shown| self.is_plain || is_same(self.until, shown));
        same_reason && same_end
    }

    fn is_exactly(&self, shown: &DialerCampaign) -> bool {
        self.has_reason_of(shown) && self.may_be(shown)
    }

    fn has_reason_of(&self, shown: &DialerCampaign) -> bool {
        shown.pause_reason.as_deref() == self.reason.map(PauseReason::as_str)
    }
}

fn is_same(sent: Option<Timestamp>, shown: Timestamp) -> bool {
    sent.is_some_and(|sent| sent.duration_since(shown).abs() < SAME_END)
}
