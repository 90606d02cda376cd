//! Follows the audit log: every change has an entry there, also those that other replicas make. Those who write pay nothing.

use std::collections::{BTreeSet, HashSet, VecDeque};
use std::time::{Duration, Instant};

use super::topic::Topic;
use crate::audit::AuditStore;
use crate::clock::Clock;

/// The most entries of one read. Where there are more, all topics have changed for certain.
const MOST: i64 = 1000;
/// Entries are not committed in the order of their numbers: those of this time are read again. A statement ends within it.
const OVERLAP: Duration = Duration::from_secs(3);

/// The position of a reader of the log.
pub struct Tail {
    log: AuditStore,
    clock: Clock,
    /// The entries after this number are read.
    after: i64,
    /// The highest numbers of the last reads, and when that was.
    highest: VecDeque<(Instant, i64)>,
    /// Those after `after` that were read already.
    seen: HashSet<i64>,
}

impl Tail {
    /// Begins at the end of the log.
    ///
    /// # Errors
    /// If Postgres returns an error.
    pub async fn of(log: AuditStore, clock: Clock) -> Result<Self, sqlx::Error> {
        let newest = log.newest_actions(0, clock.now(), MOST).await?;
        let end = newest.first().map_or(0, |(number, _)| *number);
        let seen = newest.into_iter().map(|(number, _)| number).collect();
        Ok(Self { log, clock, after: 0, highest: VecDeque::from([(Instant::now(), end)]), seen })
    }

    /// What has changed since the last time.
    ///
    /// # Errors
    /// If Postgres returns an error.
    pub async fn changes(&mut self) -> Result<BTreeSet<Topic>, sqlx::Error> {
        let entries = self.log.newest_actions(self.after, self.clock.now(), MOST).await?;
        let end = entries.first().map_or(self.after, |(number, _)| *number);
        let mut topics = BTreeSet::new();
        for (number, action) in entries {
            if self.seen.insert(number) {
                topics.insert(Topic::Audit);
                topics.extend(Topic::of_action(&action));
            }
        }
        self.forget(end, Instant::now());
        Ok(topics)
    }

    /// Forgets what will not be read again.
    fn forget(&mut self, end: i64, now: Instant) {
        self.highest.push_back((now, end));
        while self.highest.front().is_some_and(|(at, _)| now.duration_since(*at) > OVERLAP) {
            self.after = self.highest.pop_front().map_or(self.after, |(_, end)| end.max(self.after));
        }
        self.seen.retain(|number| *number > self.after);
    }
}
