//! The state that only the `nice` API has. It is a function of the clock: `advance` comes before every read.

pub(in crate::simulator) mod callbacks;
pub(in crate::simulator) mod calls;
pub(in crate::simulator) mod dialer;
pub(in crate::simulator) mod digital;
pub(in crate::simulator) mod do_not_call;
pub(in crate::simulator) mod history;
pub(in crate::simulator) mod parameters;
pub(in crate::simulator) mod skills;
pub(in crate::simulator) mod tenant;
pub(in crate::simulator) mod zones;

use jiff::Timestamp;

use super::campaigns::Campaigns;
use callbacks::Callbacks;
use calls::Calls;
use dialer::Dialers;
use digital::Digital;
use do_not_call::DoNotCall;
use history::Histories;
use parameters::Parameters;
use skills::Skills;
use tenant::Behaviour;

/// Skills, scheduled callbacks and what became of them, Digital messages, and the behaviour of the tenant.
#[derive(Default)]
pub(in crate::simulator) struct Nice {
    pub(in crate::simulator) behaviour: Behaviour,
    pub(in crate::simulator) skills: Skills,
    pub(in crate::simulator) callbacks: Callbacks,
    pub(in crate::simulator) calls: Calls,
    pub(in crate::simulator) digital: Digital,
    pub(in crate::simulator) do_not_call: DoNotCall,
    pub(in crate::simulator) parameters: Parameters,
    pub(in crate::simulator) histories: Histories,
    pub(in crate::simulator) dialers: Dialers,
}

impl Nice {
    /// Lets everything that is due by now happen: starts of skills, and the calls of scheduled callbacks.
    pub(super) fn advance(&mut self, now: Timestamp, campaigns: &mut Campaigns) {
        campaigns.resume_due();
        self.skills.start_due(now);
        for id in self.callbacks.due(now) {
            self.dial(id, now, campaigns);
        }
    }

    fn dial(&mut self, id: u64, now: Timestamp, campaigns: &Campaigns) {
        let Some(skill) = self.callbacks.get(id).map(|callback| callback.wanted.skill_id) else {
            return;
        };
        let is_running = || self.skills.get(skill, campaigns).is_some_and(|skill| skill.is_running);
        if !self.behaviour.callbacks_dial_while_stopped && !is_running() {
            self.callbacks.hold(id);
            return;
        }
        if let Some(dialled) = self.callbacks.dial(id, now) {
            self.calls.add(&dialled, &self.behaviour);
        }
    }

    /// Removes callbacks, calls and messages.
    pub(super) fn clear(&mut self) {
        self.callbacks.clear();
        self.calls.clear();
        self.digital.clear();
    }
}
