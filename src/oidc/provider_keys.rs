//! The copy of the provider's keys. It is read again regularly, and when a token names a key that is not in it.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use tokio::sync::{Mutex, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::key_set::KeySet;
use super::provider::{Provider, ProviderError};

/// How old the copy gets: after that time a key that the provider has removed is refused.
const REFRESH_EVERY: Duration = Duration::from_mins(10);
/// The pause after a failure.
const RETRY_EVERY: Duration = Duration::from_secs(30);
/// Tokens with unknown keys do not cause more requests than one in this time.
const SHORTEST_PAUSE: Duration = Duration::from_secs(5);
/// The requests that wait for the provider at the same time. Anyone can send a token with an unknown key, or begin a sign-in.
pub const MAX_WAITING: usize = 64;

/// The keys that were read last.
pub struct ProviderKeys {
    provider: Provider,
    current: RwLock<Arc<KeySet>>,
    last: Mutex<Option<Attempt>>,
    waiting: Semaphore,
}

/// The last time at which the keys were asked for.
#[derive(Clone, Copy)]
struct Attempt {
    at: Instant,
    succeeded: bool,
}

impl ProviderKeys {
    /// No keys yet.
    pub fn of(provider: Provider) -> Self {
        let (current, last) = (RwLock::default(), Mutex::default());
        Self { provider, current, last, waiting: Semaphore::new(MAX_WAITING) }
    }

    /// The keys that were read last; none before the first time.
    pub fn current(&self) -> Arc<KeySet> {
        Arc::clone(&self.current.read())
    }

    /// Reads the keys regularly until `stop`. Where that fails, the earlier ones stay in use.
    pub async fn follow(&self, stop: &CancellationToken) {
        let follow = async {
            loop {
                let read = self.read(&mut *self.last.lock().await).await;
                if let Err(error) = &read {
                    tracing::warn!(error = %error, "the keys of the identity provider could not be read, the earlier ones stay in use");
                }
                tokio::time::sleep(if read.is_ok() { REFRESH_EVERY } else { RETRY_EVERY }).await;
            }
        };
        let _: Option<std::convert::Infallible> = stop.run_until_cancelled(follow).await;
    }

    /// The keys as they are now, or were seconds ago. None if the provider does not give them.
    pub async fn newest(&self) -> Option<Arc<KeySet>> {
        let _waiting = self.waiting.try_acquire().ok()?;
        let mut last = self.last.lock().await;
        if last.is_none_or(|last| last.at.elapsed() >= SHORTEST_PAUSE) {
            // `follow` logs the error, if it lasts.
            let _ = self.read(&mut last).await;
        }
        last.filter(|last| last.succeeded).map(|_| self.current())
    }

    async fn read(&self, last: &mut Option<Attempt>) -> Result<(), ProviderError> {
        // Counts also if the client disconnects meanwhile, which ends this.
        let attempt = last.insert(Attempt { at: Instant::now(), succeeded: false });
        let keys = self.provider.keys().await?;
        attempt.succeeded = true;
        // Tokens that were verified by the same keys stay valid: see `TokenVerifier`.
        if !keys.is_same(&self.current()) {
            tracing::info!(keys = keys.len(), "the identity provider has new keys");
            *self.current.write() = Arc::new(keys);
        }
        Ok(())
    }
}
