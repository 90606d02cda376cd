//! The requests that wait for the outcome of the callback they have just created.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;
use uuid::Uuid;

use super::model::Callback;

/// The waiting requests of this replica. They are not notified of attempts in other replicas.
#[derive(Clone, Default)]
pub struct Waiters {
    waited_for: Arc<Mutex<HashMap<Uuid, WaitedFor>>>,
}

/// A callback that requests wait for.
struct WaitedFor {
    sender: watch::Sender<Option<Callback>>,
    waiters: usize,
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
        let mut waited_for = self.waited_for.lock();
        let new = || WaitedFor { sender: watch::Sender::new(None), waiters: 0 };
        let entry = waited_for.entry(id).or_insert_with(new);
        entry.waiters += 1;
        Waiter { id, waiters: self.clone(), latest: entry.sender.subscribe() }
    }

    /// Passes the callback to the requests that wait for it.
    pub fn notify(&self, callback: &Callback) {
        if let Some(waited_for) = self.waited_for.lock().get(&callback.id) {
            waited_for.sender.send_replace(Some(callback.clone()));
        }
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let mut waited_for = self.waiters.waited_for.lock();
        let Some(entry) = waited_for.get_mut(&self.id) else { return };
        entry.waiters -= 1;
        if entry.waiters == 0 {
            waited_for.remove(&self.id);
        }
    }
}
