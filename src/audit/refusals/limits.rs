//! How many refusals of one sender are recorded: a client must not be able to fill the log.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::audit::model::{Actor, ActorType};

/// A rate: so many at once, and then one per interval.
#[derive(Clone, Copy, Debug)]
struct Rate {
    at_once: u32,
    interval: Duration,
}

/// Of all senders without a valid API key together: at most 60 in any minute.
const ANONYMOUS: Rate = Rate { at_once: 20, interval: Duration::from_millis(1500) };
/// Of one API key, or one subject of the identity provider: at most 6,000 in any minute.
const API_KEY: Rate = Rate { at_once: 3000, interval: Duration::from_millis(20) };

/// A sender of refused requests.
#[derive(Debug)]
struct Sender {
    actor: Actor,
    /// When no earlier refusal counts any more.
    free_at: Instant,
    /// The refusals that were not recorded since the last one that was.
    omitted: u64,
}

/// The senders of the last seconds.
#[derive(Debug, Default)]
pub(super) struct Limits {
    /// By the id of the actor. Never more than there are valid API keys, and subjects with a valid token.
    senders: HashMap<String, Sender>,
}

impl Limits {
    /// Whether a refusal may be recorded, and then how many were left out before it. If not, it is counted as left out.
    pub fn admit(&mut self, actor: &Actor, now: Instant) -> Option<u64> {
        let sender = self.sender(actor, now);
        let admitted = sender.admit(now);
        if admitted.is_none() {
            sender.omitted += 1;
        }
        admitted
    }

    /// Counts refusals as left out.
    pub fn omit(&mut self, actor: &Actor, count: u64, now: Instant) {
        self.sender(actor, now).omitted += count;
    }

    /// The senders whose left out refusals no later refusal has named, and their number. Those that have not sent anything
    /// for a while are forgotten.
    pub fn unreported(&mut self, now: Instant) -> Vec<(Actor, u64)> {
        let left_out = self.senders.values_mut().filter(|sender| sender.omitted > 0);
        let reported = left_out.filter_map(|sender| sender.admit(now).map(|omitted| (sender.actor.clone(), omitted)));
        let reported = reported.collect();
        self.senders.retain(|_, sender| sender.omitted > 0 || sender.free_at > now);
        reported
    }

    /// The same at the end, at any rate.
    pub fn into_unreported(self) -> Vec<(Actor, u64)> {
        let left_out = self.senders.into_values().filter(|sender| sender.omitted > 0);
        left_out.map(|sender| (sender.actor, sender.omitted)).collect()
    }

    fn sender(&mut self, actor: &Actor, now: Instant) -> &mut Sender {
        let new = || Sender { actor: actor.clone(), free_at: now, omitted: 0 };
        self.senders.entry(actor.id.clone()).or_insert_with(new)
    }
}

impl Sender {
    fn admit(&mut self, now: Instant) -> Option<u64> {
        let rate = if self.actor.r#type == ActorType::Anonymous { ANONYMOUS } else { API_KEY };
        let free_at = self.free_at.max(now) + rate.interval;
        if free_at > now + rate.interval * rate.at_once {
            return None;
        }
        self.free_at = free_at;
        Some(std::mem::take(&mut self.omitted))
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::http::{Caller, Credential};
    use crate::types::AllowedCampaigns;

    fn key() -> Actor {
        Actor::caller(&Caller {
            credential: Credential::ApiKey,
            key_id: Uuid::nil(),
            name: "ivr".into(),
            scopes: [].into(),
            campaigns: AllowedCampaigns::all(),
        })
    }

    #[test]
    fn of_a_flood_at_most_so_many_are_recorded_in_any_minute_and_each_says_how_many_were_not() {
        for (actor, most) in [(Actor::anonymous(), 60), (key(), 6_000)] {
            let (mut limits, start) = (Limits::default(), Instant::now());
            let (mut recorded, mut omitted) = (Vec::new(), 0);
            for sent in 0..240_000_u32 {
                let now = start + Duration::from_micros(500) * sent;
                if let Some(before) = limits.admit(&actor, now) {
                    recorded.push(now);
                    omitted += before;
                }
            }
            let in_a_minute = |from: Instant| {
                let minute = from..from + Duration::from_mins(1);
                recorded.iter().filter(|at| minute.contains(at)).count()
            };
            let in_any_minute = recorded.iter().step_by(50).map(|from| in_a_minute(*from)).max().unwrap();
            assert!((most - 2..=most).contains(&in_any_minute), "{in_any_minute} of {most}");
            omitted += limits.into_unreported().iter().map(|(_, count)| count).sum::<u64>();
            assert_eq!(recorded.len() as u64 + omitted, 240_000);
        }
    }

    #[test]
    fn a_sender_does_not_use_up_the_rate_of_another() {
        let (mut limits, now) = (Limits::default(), Instant::now());
        while limits.admit(&Actor::anonymous(), now).is_some() {}
        assert_eq!(limits.admit(&key(), now), Some(0));
    }

    #[test]
    fn what_was_left_out_is_reported_once_also_without_a_later_refusal() {
        let (mut limits, now) = (Limits::default(), Instant::now());
        while limits.admit(&Actor::anonymous(), now).is_some() {}
        limits.omit(&Actor::anonymous(), 4, now);
        assert_eq!(limits.unreported(now), []);
        let later = now + ANONYMOUS.interval;
        assert_eq!(limits.unreported(later), [(Actor::anonymous(), 5)]);
        assert_eq!(limits.unreported(later + Duration::from_mins(2)), []);
        assert!(limits.senders.is_empty());
    }
}
