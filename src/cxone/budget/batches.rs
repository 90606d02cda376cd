//! The requests that this replica has taken from the ledger in a batch and not sent yet. Pure.

use std::time::Instant;

use super::ledger::{Class, ClassTable};
use super::store::GRANT_LASTS;

/// One batch for each class, so that classes that alternate do not discard the batches of each other.
#[derive(Default)]
pub struct Batches(ClassTable<Option<Batch>>);

#[derive(Clone, Copy)]
struct Batch {
    left: u32,
    taken_at: Instant,
}

impl Batches {
    /// Uses one request of the batch of a class. False where it has none, or the batch is too old.
    pub fn use_one(&mut self, class: Class, now: Instant) -> bool {
        let Some(batch) = &mut self.0[class] else { return false };
        let is_valid = batch.left > 0 && now.saturating_duration_since(batch.taken_at) < GRANT_LASTS;
        if is_valid {
            batch.left -= 1;
        }
        is_valid
    }

    /// Stores the rest of a batch that was taken at `taken_at`.
    pub fn keep(&mut self, class: Class, left: u32, taken_at: Instant) {
        self.0[class] = Some(Batch { left, taken_at });
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::Timestamp;

    use super::super::ledger::{Decision, Ledger};
    use super::*;
    use crate::cxone::Endpoint;

    #[test]
    fn classes_that_alternate_use_all_of_a_large_quota() {
        let (mut batches, mut ledger, now) = (Batches::default(), Ledger::default(), Instant::now());
        let (quota, batch, at) = (600_000, 100, Timestamp::from_second(1_800_000_000).unwrap());
        let mut sent = 0;
        'all: loop {
            for class in [Class::Control, Class::Waiting, Class::Background] {
                if !batches.use_one(class, now) {
                    let decision = ledger.take(class, Endpoint::Contacts, batch, quota, at);
                    if decision != Decision::Granted {
                        break 'all;
                    }
                    batches.keep(class, batch - 1, now);
                }
                sent += 1;
            }
        }
        // All but the reserves of more urgent classes.
        assert!(sent > quota / 100 * 93, "{sent}");
    }

    #[test]
    fn a_batch_expires_soon() {
        let (mut batches, now) = (Batches::default(), Instant::now());
        batches.keep(Class::Control, 1, now);
        assert!(!batches.use_one(Class::Waiting, now));
        assert!(!batches.use_one(Class::Control, now + GRANT_LASTS));
        assert!(batches.use_one(Class::Control, now + Duration::from_millis(1)));
        assert!(!batches.use_one(Class::Control, now));
    }
}
