//! The queue for a connection of the pool.

use std::sync::atomic::{AtomicU32, Ordering};

use sqlx::Error;
use tokio::sync::Semaphore;
use tokio::time::sleep;

use super::Db;
use super::pooled::Pooled;

/// The connections that a replica opens at the same time. Each costs Postgres a new process. When all replicas have lost
/// theirs, more attempts than it can answer in time would keep it from answering any.
const OPENED_AT_ONCE: usize = 8;

/// The statements that wait for a connection.
#[derive(Debug)]
pub struct Queue {
    waiting: AtomicU32,
    opening: Semaphore,
}

impl Default for Queue {
    fn default() -> Self {
        Self { waiting: AtomicU32::new(0), opening: Semaphore::new(OPENED_AT_ONCE) }
    }
}

impl Queue {
    /// How many statements wait.
    pub fn length(&self) -> u32 {
        self.waiting.load(Ordering::Relaxed)
    }
}

impl Db {
    /// A connection of the pool, which may be a new one.
    pub(super) async fn acquire(&self) -> Result<Pooled, Error> {
        let _waiting = Waiting::count(&self.queue.waiting);
        let acquired = async {
            let _permit = match self.pool.num_idle() {
                0 => Some(self.queue.opening.acquire().await.map_err(|_| Error::PoolClosed)?),
                _ => None,
            };
            self.pool.acquire().await
        };
        tokio::select! {
            // First, so that a statement whose time is over opens no connection.
            biased;
            () = sleep(self.pool.options().get_acquire_timeout()) => Err(Error::PoolTimedOut),
            acquired = acquired => acquired.map(Pooled::new),
        }
    }
}

/// Counts a statement that waits for a connection, until this is dropped.
struct Waiting<'a>(&'a AtomicU32);

impl<'a> Waiting<'a> {
    fn count(waiting: &'a AtomicU32) -> Self {
        waiting.fetch_add(1, Ordering::Relaxed);
        Self(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;
    use std::time::Duration;

    use futures::future::join_all;
    use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
    use tokio::net::TcpListener;

    use super::*;

    /// A slow server that refuses every connection. Counts the largest number that were open at the same time.
    async fn refuse_slowly(listener: TcpListener, most_open: Arc<AtomicUsize>) {
        let open = Arc::new(AtomicUsize::new(0));
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            most_open.fetch_max(open.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            let open = Arc::clone(&open);
            tokio::spawn(async move {
                sleep(Duration::from_millis(20)).await;
                open.fetch_sub(1, Ordering::SeqCst);
                drop(socket);
            });
        }
    }

    #[tokio::test]
    async fn a_replica_opens_few_connections_at_the_same_time() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let options = PgConnectOptions::new_without_pgpass().host("127.0.0.1").port(port).username("ringback");
        let pool = PgPoolOptions::new().max_connections(30).acquire_timeout(Duration::from_mins(1));
        let db = Db::new(pool.connect_lazy_with(options));
        let most_open = Arc::new(AtomicUsize::new(0));
        tokio::spawn(refuse_slowly(listener, Arc::clone(&most_open)));

        let acquired = join_all((0..60).map(|_| db.acquire())).await;

        assert!(acquired.iter().all(Result::is_err));
        assert_eq!((most_open.load(Ordering::SeqCst), db.queue.length()), (OPENED_AT_ONCE, 0));
    }
}
