//! Copies of rows in memory.

use std::hash::Hash;

use super::changes::{Changes, Topic, Version};

/// Copies of the rows of one topic, at most as many as its capacity. One that may be outdated is never returned.
pub struct Cache<K, V> {
    copies: quick_cache::sync::Cache<K, (Version, V)>,
    changes: Changes,
    topic: Topic,
}

impl<K: Eq + Hash, V: Clone> Cache<K, V> {
    pub fn new(topic: Topic, changes: Changes, capacity: usize) -> Self {
        Self { copies: quick_cache::sync::Cache::new(capacity), changes, topic }
    }

    /// The copy, if it is current.
    pub fn get(&self, key: &K) -> Option<V> {
        let (version, value) = self.copies.get(key)?;
        self.changes.is_current(&version).then_some(value)
    }

    /// The version for [`Self::insert`]. Call it before the row is read.
    pub fn version(&self) -> Version {
        self.changes.version(self.topic)
    }

    /// Keeps a copy.
    pub fn insert(&self, key: K, version: Version, value: V) {
        self.copies.insert(key, (version, value));
    }
}
