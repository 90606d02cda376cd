//! The requests that wait for the outcome of the callback they have just created.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;
use uuid::Uuid;

use super::model::Callback;

type Senders = HashMap<Uuid, watch::Sender<Option<Callback>>>;

/// The waiting requests of this replica. They are not notified of attempts in other replicas.
#[derive(Clone, Default)]
pub struct Waiters {
    senders: Arc<Mutex<Senders>>,
}

/// One waiting request. It is removed from the [`Waiters`] when it is dropped.
pub struct Waiter {
    id: Uuid,
    waiters: Waiters,
    /// The callback as the last attempt has left it.
    pub latest: watch::Receiver<Option<Callback>>,
}

impl Waiters {
    /// Adds a waiting request, which is notified from now on.
    pub fn add(&self, id: Uuid) -> Waiter {
        let latest = self.senders.lock().entry(id).or_insert_with(|| watch::channel(None).0).subscribe();
        Waiter { id, waiters: self.clone(), latest }
    }

    /// Passes the callback to the requests that wait for it.
    pub fn notify(&self, callback: &Callback) {
        if let Some(sender) = self.senders.lock().get(&callback.id) {
            sender.send_replace(Some(callback.clone()));
        }
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let mut senders = self.waiters.senders.lock();
        // The receiver of this waiter is dropped after it.
        if senders.get(&self.id).is_some_and(|sender| sender.receiver_count() <= 1) {
            senders.remove(&self.id);
        }
    }
}
