//! One lock for each campaign, within this replica. Commands to one campaign queue here; between replicas the lease decides.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use tokio::sync::OwnedMutexGuard;

use crate::types::CampaignId;

/// The locks that are held or waited for.
#[derive(Default)]
pub struct LocalLocks {
    locks: Mutex<HashMap<CampaignId, Weak<tokio::sync::Mutex<()>>>>,
}

impl LocalLocks {
    /// Waits for the campaign's lock, and takes it.
    pub async fn lock(&self, id: &CampaignId) -> OwnedMutexGuard<()> {
        let lock = {
            let mut locks = self.locks.lock();
            locks.retain(|_, lock| lock.strong_count() > 0);
            locks.get(id).and_then(Weak::upgrade).unwrap_or_else(|| {
                let lock = Arc::default();
                locks.insert(id.clone(), Arc::downgrade(&lock));
                lock
            })
        };
        lock.lock_owned().await
    }
}
