//! Reads that are shared: many consoles that show the same cost as much as one.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// For how long a read is shared, if nothing is known to have changed.
const FRESH_FOR: Duration = Duration::from_secs(1);
/// Above this, all are read again.
const MAX_READS: usize = 64;

/// The last reads, by what they depend on.
pub struct Shared<K, V>(Mutex<HashMap<K, Slot<V>>>);

/// A read that others may wait for.
type Slot<V> = Arc<tokio::sync::Mutex<Option<Read<V>>>>;

struct Read<V> {
    value: Arc<V>,
    /// How much was known to have changed when it began.
    version: u64,
    at: Instant,
}

impl<K, V> Default for Shared<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash, V> Shared<K, V> {
    /// The last read, if it is younger than a second and of this version; else a new one, which others wait for.
    pub async fn get<F: Future<Output = V>>(&self, key: K, version: u64, read: impl FnOnce() -> F) -> Arc<V> {
        let known = {
            let mut reads = self.0.lock();
            if reads.len() >= MAX_READS && !reads.contains_key(&key) {
                reads.clear();
            }
            Arc::clone(reads.entry(key).or_default())
        };
        let mut known = known.lock().await;
        let is_fresh = |known: &&Read<V>| known.version >= version && known.at.elapsed() < FRESH_FOR;
        if let Some(known) = known.as_ref().filter(is_fresh) {
            return Arc::clone(&known.value);
        }
        let at = Instant::now();
        let value = Arc::new(read().await);
        *known = Some(Read { value: Arc::clone(&value), version, at });
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_read_is_shared_until_something_changes() {
        let (shared, count) = (Shared::default(), std::cell::Cell::new(0));
        let read = async |key: &'static str, version| {
            let next = async || {
                count.set(count.get() + 1);
                count.get()
            };
            *shared.get(key, version, next).await
        };
        assert_eq!((read("a", 1).await, read("a", 1).await), (1, 1));
        assert_eq!((read("b", 1).await, read("a", 1).await), (2, 1));
        assert_eq!((read("a", 2).await, read("a", 2).await), (3, 3));
    }
}
