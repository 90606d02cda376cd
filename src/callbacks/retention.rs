//! How long callbacks are kept after they have ended.

use std::sync::Arc;

use jiff::SignedDuration;
use tokio_util::sync::CancellationToken;

use super::store::CallbackStore;
use crate::audit::{Action, Actor, Entry, Outcome};
use crate::clock::Clock;
use crate::jobs::PURGE;

/// Deletes callbacks that ended long ago.
#[derive(Clone)]
pub struct Retention {
    store: Arc<CallbackStore>,
    kept_for: SignedDuration,
    clock: Clock,
}

impl Retention {
    /// Keeps callbacks for this many days.
    pub fn new(store: Arc<CallbackStore>, days: u32, clock: Clock) -> Self {
        Self { store, kept_for: SignedDuration::from_hours(24 * i64::from(days)), clock }
    }

    /// Deletes until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        PURGE.run(&stop, "old callbacks were not deleted", || self.step()).await;
    }

    async fn step(&self) -> Result<(), sqlx::Error> {
        let now = self.clock.now();
        let actor = Actor::system("retention");
        let entry = || Entry::new(self.clock.new_id(), now, Action::CallbackDeleted, actor.clone(), Outcome::Succeeded);
        let deleted = self.store.purge(now - self.kept_for, entry).await?;
        if deleted > 0 {
            tracing::info!(deleted, "deleted callbacks that ended long ago");
        }
        Ok(())
    }
}
