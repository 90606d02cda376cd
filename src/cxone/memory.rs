//! What this replica has written to the ledger, so that it finds out what a crash of Postgres lost of it: the ledger is
//! written without waiting for the disk. Pure.

use std::collections::{BTreeMap, VecDeque};

use jiff::Timestamp;
use uuid::Uuid;

use super::endpoint::Endpoint;
use super::ledger::{Class, Ledger, WINDOW_MS};

/// What one replica remembers of its own changes.
pub struct Memory {
    replica: Uuid,
    /// The number of the last change that was begun.
    begun: u64,
    /// The number of the last change that Postgres has confirmed.
    confirmed: u64,
    /// What was granted within the window, oldest first.
    grants: VecDeque<Grant>,
    back_offs: BTreeMap<Endpoint, i64>,
}

struct Grant {
    /// The change that it is in.
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
    /// Changes of ours after this one are not in the ledger that Postgres has.
    survived: u64,
}

impl Memory {
    /// Of a replica that has written nothing yet.
    pub fn new(replica: Uuid) -> Self {
        Self { replica, begun: 0, confirmed: 0, grants: VecDeque::new(), back_offs: BTreeMap::new() }
    }

    /// Begins a change: puts back what the ledger has lost of this replica's.
    pub fn begin(&mut self, ledger: &mut Ledger) -> Draft {
        // A number is used once: a change that was never confirmed may be in the ledger.
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

    /// Says in the ledger whose change it is.
    pub fn sign(&self, draft: &Draft, ledger: &mut Ledger, now: Timestamp) {
        ledger.sign(self.replica, draft.number, now);
    }

    /// Postgres has the change, in which these requests were granted at `now`.
    pub fn confirm(&mut self, draft: &Draft, granted: Option<Granted>, now: Timestamp) {
        let now_ms = now.as_millisecond();
        self.grants.retain(|grant| grant.at_ms > now_ms - WINDOW_MS);
        // What was lost is in this change again.
        self.grants
            .iter_mut()
            .filter(|grant| grant.number > draft.survived)
            .for_each(|lost| lost.number = draft.number);
        if let Some(spent) = granted {
            self.grants.push_back(Grant { number: draft.number, at_ms: now_ms, spent });
        }
        self.confirmed = draft.number;
    }

    /// A back-off that this replica was told of.
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

    /// One replica's question, as the store asks it; gives the ledger as it is written.
    fn take(memory: &mut Memory, ledger: &Ledger, now: Timestamp) -> (Ledger, bool) {
        take_as(Class::Control, memory, ledger, now)
    }

    fn take_as(class: Class, memory: &mut Memory, ledger: &Ledger, now: Timestamp) -> (Ledger, bool) {
        let mut changed = ledger.clone();
        let draft = memory.begin(&mut changed);
        let granted = changed.take(class, Endpoint::Contacts, 1, QUOTA, now) == Decision::Granted;
        memory.sign(&draft, &mut changed, now);
        memory.confirm(&draft, granted.then_some(Granted { class, count: 1 }), now);
        (changed, granted)
    }

    #[test]
    fn what_was_lost_counts_for_its_class_again() {
        let (mut memory, lost) = (Memory::new(Uuid::from_u128(1)), Ledger::default());
        let ledger = take_as(Class::Routine, &mut memory, &lost, at(0)).0;
        take_as(Class::Routine, &mut memory, &ledger, at(0));
        let (ledger, granted) = take_as(Class::Routine, &mut memory, &lost, at(1_000));
        assert!(!granted, "two of twenty are the routine's share");
        assert_eq!(ledger.used(at(1_000)), 2);
    }

    #[test]
    fn nothing_is_counted_twice_where_nothing_was_lost() {
        let (mut memory, mut ledger) = (Memory::new(Uuid::from_u128(1)), Ledger::default());
        for _ in 0..7 {
            ledger = take(&mut memory, &ledger, at(0)).0;
        }
        // A change that Postgres has, and never confirmed: its grant was not used, and counts all the same.
        let draft = memory.begin(&mut ledger);
        ledger.take(Class::Control, Endpoint::Contacts, 1, QUOTA, at(0));
        memory.sign(&draft, &mut ledger, at(0));
        ledger = take(&mut memory, &ledger, at(0)).0;
        assert_eq!(ledger.used(at(0)), 9);
    }

    #[test]
    fn a_back_off_that_was_lost_is_put_back() {
        let (mut memory, lost) = (Memory::new(Uuid::from_u128(1)), Ledger::default());
        take(&mut memory, &lost, at(0));
        memory.backed_off(Endpoint::Messages, at(9_000).as_millisecond());
        let mut ledger = lost;
        memory.begin(&mut ledger);
        assert!(ledger.is_restrained(Class::Waiting, Endpoint::Messages, at(8_000)));
    }

    proptest! {
        /// However often Postgres crashes, and however many of the last changes it loses: the quota is never exceeded,
        /// and while nothing is lost all of it can be used.
        #[test]
        fn the_quota_holds_whatever_postgres_loses(
            steps in prop::collection::vec((0i64..1_500, 0usize..30), 1..600),
        ) {
            let mut memory = Memory::new(Uuid::from_u128(1));
            let (mut history, mut now, mut sent) = (vec![Ledger::default()], 0, Vec::new());
            for (pause, lost) in steps {
                now += pause;
                // One step in three is a crash that loses some of the last changes.
                if lost < 10 {
                    let kept = history.len().saturating_sub(lost).max(1);
                    history.truncate(kept);
                }
                let (ledger, granted) = take(&mut memory, history.last().unwrap(), at(now));
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
