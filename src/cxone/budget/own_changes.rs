//! The changes that this replica has made to the ledger. The ledger is written without waiting for the disk, so a crash of
//! Postgres may lose changes; each replica restores its own. Pure.

use std::collections::{BTreeMap, VecDeque};

use jiff::Timestamp;
use uuid::Uuid;

use super::ledger::{Class, Ledger, WINDOW_MS};
use crate::cxone::endpoint::Endpoint;

/// The recent changes of one replica.
pub struct OwnChanges {
    replica: Uuid,
    /// The number of the last change that was begun.
    begun: u64,
    /// The number of the last change that Postgres has confirmed.
    confirmed: u64,
    /// The grants within the window, oldest first.
    grants: VecDeque<Grant>,
    back_offs: BTreeMap<Endpoint, i64>,
}

struct Grant {
    /// The number of the change that contains it.
    number: u64,
    at_ms: i64,
    spent: Granted,
}

/// Requests that a change grants.
#[derive(Clone, Copy, Debug)]
pub struct Granted {
    pub class: Class,
    pub count: u32,
}

/// A change that was begun.
pub struct Draft {
    number: u64,
    /// Later changes of this replica are missing in the ledger.
    survived: u64,
}

impl OwnChanges {
    /// Of a replica without changes.
    pub fn new(replica: Uuid) -> Self {
        Self { replica, begun: 0, confirmed: 0, grants: VecDeque::new(), back_offs: BTreeMap::new() }
    }

    /// Begins a change: restores the changes of this replica that the ledger has lost.
    pub fn begin(&mut self, ledger: &mut Ledger) -> Draft {
        // Each number is used once: a change that was never confirmed may be in the ledger.
        self.begun += 1;
        let last = ledger.last_change_of(self.replica);
        let survived = if last < self.confirmed { last } else { self.confirmed };
        for lost in self.grants.iter().filter(|grant| grant.number > survived) {
            ledger.add(lost.spent.class, lost.at_ms, lost.spent.count);
        }
        if survived < self.confirmed {
            self.back_offs.iter().for_each(|(endpoint, until)| ledger.back_off(*endpoint, *until));
        }
        Draft { number: self.begun, survived }
    }

    /// Marks the ledger with the change.
    pub fn sign(&self, draft: &Draft, ledger: &mut Ledger, now: Timestamp) {
        ledger.sign(self.replica, draft.number, now);
    }

    /// Postgres has stored the change, which granted these requests at `now`.
    pub fn confirm(&mut self, draft: &Draft, granted: Option<Granted>, now: Timestamp) {
        let now_ms = now.as_millisecond();
        self.grants.retain(|grant| grant.at_ms > now_ms - WINDOW_MS);
        // This change contains the lost grants again.
        self.grants
            .iter_mut()
            .filter(|grant| grant.number > draft.survived)
            .for_each(|lost| lost.number = draft.number);
        if let Some(spent) = granted {
            self.grants.push_back(Grant { number: draft.number, at_ms: now_ms, spent });
        }
        self.confirmed = draft.number;
    }

    /// Adds a back-off that this replica has written.
    pub fn backed_off(&mut self, endpoint: Endpoint, until_ms: i64) {
        let kept = self.back_offs.entry(endpoint).or_default();
        *kept = until_ms.max(*kept);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::ledger::Decision;
    use super::*;

    const QUOTA: u32 = 20;

    fn at(milliseconds: i64) -> Timestamp {
        Timestamp::from_millisecond(1_800_000_000_000 + milliseconds).unwrap()
    }

    /// Takes one request, as the store does. Returns the ledger as it is written.
    fn take(changes: &mut OwnChanges, ledger: &Ledger, now: Timestamp) -> (Ledger, bool) {
        take_as(Class::Control, changes, ledger, now)
    }

    fn take_as(class: Class, changes: &mut OwnChanges, ledger: &Ledger, now: Timestamp) -> (Ledger, bool) {
        let mut changed = ledger.clone();
        let draft = changes.begin(&mut changed);
        let granted = changed.take(class, Endpoint::Contacts, 1, QUOTA, now) == Decision::Granted;
        changes.sign(&draft, &mut changed, now);
        changes.confirm(&draft, granted.then_some(Granted { class, count: 1 }), now);
        (changed, granted)
    }

    #[test]
    fn a_lost_grant_is_restored_for_its_class() {
        let (mut changes, lost) = (OwnChanges::new(Uuid::from_u128(1)), Ledger::default());
        let ledger = take_as(Class::Routine, &mut changes, &lost, at(0)).0;
        take_as(Class::Routine, &mut changes, &ledger, at(0));
        let (ledger, granted) = take_as(Class::Routine, &mut changes, &lost, at(1_000));
        assert!(!granted, "the share of routine work is two of twenty");
        assert_eq!(ledger.used(at(1_000)), 2);
    }

    #[test]
    fn without_a_loss_nothing_is_counted_twice() {
        let (mut changes, mut ledger) = (OwnChanges::new(Uuid::from_u128(1)), Ledger::default());
        for _ in 0..7 {
            ledger = take(&mut changes, &ledger, at(0)).0;
        }
        // A change that Postgres stored without confirming it: its grant was not used, but counts.
        let draft = changes.begin(&mut ledger);
        ledger.take(Class::Control, Endpoint::Contacts, 1, QUOTA, at(0));
        changes.sign(&draft, &mut ledger, at(0));
        ledger = take(&mut changes, &ledger, at(0)).0;
        assert_eq!(ledger.used(at(0)), 9);
    }

    #[test]
    fn a_lost_back_off_is_restored() {
        let (mut changes, lost) = (OwnChanges::new(Uuid::from_u128(1)), Ledger::default());
        take(&mut changes, &lost, at(0));
        changes.backed_off(Endpoint::Messages, at(9_000).as_millisecond());
        let mut ledger = lost;
        changes.begin(&mut ledger);
        assert!(ledger.is_restrained(Class::Waiting, Endpoint::Messages, at(8_000)));
    }

    proptest! {
        /// However often Postgres crashes, and however many of the last changes it loses: the quota is never exceeded,
        /// and without a loss all of it can be used.
        #[test]
        fn the_quota_holds_whatever_postgres_loses(
            steps in prop::collection::vec((0i64..1_500, 0usize..30), 1..600),
        ) {
            let mut changes = OwnChanges::new(Uuid::from_u128(1));
            let (mut history, mut now, mut sent) = (vec![Ledger::default()], 0, Vec::new());
            for (pause, lost) in steps {
                now += pause;
                // One step in three is a crash that loses some of the last changes.
                if lost < 10 {
                    let kept = history.len().saturating_sub(lost).max(1);
                    history.truncate(kept);
                }
                let (ledger, granted) = take(&mut changes, history.last().unwrap(), at(now));
                history.push(ledger);
                if granted {
                    sent.push(now);
                }
            }
            let quota = usize::try_from(QUOTA).unwrap();
            prop_assert!(sent.windows(quota + 1).all(|many| many[quota] - many[0] >= 60_000));
            let first_minute = sent.iter().filter(|at| **at < sent[0] + 60_000).count();
            prop_assert!(first_minute <= quota);
        }
    }
}
