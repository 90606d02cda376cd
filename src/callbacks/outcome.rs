//! Callers who wait for the outcome of the callback that they have just posted.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;
use uuid::Uuid;

use super::model::Callback;

type News = HashMap<Uuid, watch::Sender<Option<Callback>>>;

/// Who waits in this replica. A callback that another replica works on has no news here; its caller reads the row
/// when the wait is over.
#[derive(Clone, Default)]
pub struct Waiting {
    news: Arc<Mutex<News>>,
}

/// A place in the queue, given up when it is dropped.
pub struct Waiter {
    id: Uuid,
    waiting: Waiting,
    /// What the last attempt made of the callback.
    pub news: watch::Receiver<Option<Callback>>,
}

impl Waiting {
    /// From here on, news of this callback are kept.
    pub fn wait_for(&self, id: Uuid) -> Waiter {
        let (sender, news) = watch::channel(None);
        self.lock().insert(id, sender);
        Waiter { id, waiting: self.clone(), news }
    }

    /// An attempt has ended.
    pub fn tell(&self, callback: &Callback) {
        if let Some(sender) = self.lock().get(&callback.id) {
            sender.send_replace(Some(callback.clone()));
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, News> {
        self.news.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.waiting.lock().remove(&self.id);
    }
}
