//! Which copies of rows are current. Triggers in Postgres notify all replicas of changes; see `listener`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::RwLock;
use strum::{EnumString, IntoStaticStr, VariantArray};

/// Without a sign that all changes have been heard of, a copy is read again after this time. A change is in force
/// everywhere within a second, also where the connection for notifications is lost.
const MAX_AGE: Duration = Duration::from_millis(700);

/// The rows of which replicas keep copies. The text is the name of the notification channel.
#[derive(Clone, Copy, Debug, EnumString, IntoStaticStr, PartialEq, Eq, VariantArray)]
pub enum Topic {
    /// API keys.
    #[strum(serialize = "ringback_api_keys")]
    ApiKeys,
    /// The settings and holds that decide when a campaign may call.
    #[strum(serialize = "ringback_placement_rules")]
    PlacementRules,
    /// Sessions of the console. Only their end is announced.
    #[strum(serialize = "ringback_console_sessions")]
    ConsoleSessions,
}

impl Topic {
    pub(super) fn channel(self) -> &'static str {
        self.into()
    }
}

/// What this replica knows of changes.
#[derive(Clone, Debug)]
pub struct Changes(Arc<State>);

#[derive(Debug)]
struct State {
    /// The number of changes so far.
    api_keys: AtomicU64,
    placement_rules: AtomicU64,
    console_sessions: AtomicU64,
    /// All changes before this time are counted.
    complete_until: RwLock<Instant>,
}

/// The state of a topic before a copy was read.
#[derive(Clone, Copy, Debug)]
pub struct Version {
    topic: Topic,
    count: u64,
    read_at: Instant,
}

impl Default for Changes {
    fn default() -> Self {
        Self(Arc::new(State {
            api_keys: AtomicU64::new(0),
            placement_rules: AtomicU64::new(0),
            console_sessions: AtomicU64::new(0),
            complete_until: RwLock::new(Instant::now()),
        }))
    }
}

impl Changes {
    /// Counts a change. Copies that were read before are no longer current.
    pub fn publish(&self, topic: Topic) {
        self.count(topic).fetch_add(1, Ordering::AcqRel);
    }

    /// The version of what is read from now on. Call it before the read.
    pub fn version(&self, topic: Topic) -> Version {
        Version { topic, count: self.count(topic).load(Ordering::Acquire), read_at: Instant::now() }
    }

    /// Whether nothing has changed since.
    pub fn is_current(&self, version: &Version) -> bool {
        let known_until = version.read_at.max(*self.0.complete_until.read());
        self.count(version.topic).load(Ordering::Acquire) == version.count && known_until.elapsed() < MAX_AGE
    }

    /// All changes until this time are counted.
    pub(super) fn complete_until(&self, at: Instant) {
        *self.0.complete_until.write() = at;
    }

    /// Changes may have been missed.
    pub(super) fn publish_all(&self) {
        for topic in Topic::VARIANTS {
            self.publish(*topic);
        }
    }

    fn count(&self, topic: Topic) -> &AtomicU64 {
        match topic {
            Topic::ApiKeys => &self.0.api_keys,
            Topic::PlacementRules => &self.0.placement_rules,
            Topic::ConsoleSessions => &self.0.console_sessions,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_current_until_its_topic_changes() {
        let changes = Changes::default();
        let (keys, rules) = (changes.version(Topic::ApiKeys), changes.version(Topic::PlacementRules));
        assert!(changes.is_current(&keys) && changes.is_current(&rules));
        changes.publish(Topic::ApiKeys);
        assert!(!changes.is_current(&keys) && changes.is_current(&rules));
        assert!(changes.is_current(&changes.version(Topic::ApiKeys)));
        changes.publish_all();
        assert!(!changes.is_current(&rules));
    }

    #[test]
    fn a_copy_gets_old_unless_it_is_known_that_nothing_has_changed() {
        let changes = Changes::default();
        let old = Version { read_at: Instant::now().checked_sub(MAX_AGE).unwrap(), ..changes.version(Topic::ApiKeys) };
        changes.complete_until(old.read_at);
        assert!(!changes.is_current(&old));
        changes.complete_until(Instant::now());
        assert!(changes.is_current(&old));
    }

    #[test]
    fn each_topic_has_a_channel() {
        let channels: Vec<_> = Topic::VARIANTS.iter().map(|topic| topic.channel()).collect();
        assert_eq!(channels, ["ringback_api_keys", "ringback_placement_rules", "ringback_console_sessions"]);
        assert!(Topic::VARIANTS.iter().all(|topic| topic.channel().parse() == Ok(*topic)));
    }
}
