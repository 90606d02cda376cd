//! Listens for the notifications of changes, on a connection of its own.

use std::convert::Infallible;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use strum::VariantArray as _;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use uuid::Uuid;

use super::changes::{Changes, Topic};
use super::error::no_response;

/// How often the listener notifies itself. The notification arrives after all earlier ones, and shows that they arrive: a
/// pooler in transaction mode drops them, and a connection can be lost without an error.
const HEARTBEAT: Duration = Duration::from_millis(200);
/// A connection that does not respond within this time is replaced.
const RESPONDS_WITHIN: Duration = Duration::from_secs(2);
/// The pause before another connection is opened.
const RECONNECT_AFTER: Duration = Duration::from_millis(500);

/// Listens for changes that other replicas and the command line make.
pub struct ChangeListener {
    options: PgConnectOptions,
    changes: Changes,
    heartbeat: String,
}

impl ChangeListener {
    /// Reports to `changes`. The id is this replica's.
    pub fn new(options: &PgConnectOptions, changes: Changes, id: Uuid) -> Self {
        let options = options.clone().application_name("ringback-notifications");
        Self { options, changes, heartbeat: format!("ringback_heartbeat_{}", id.simple()) }
    }

    /// Listens until it is dropped. While no notifications arrive, copies of rows are used for less than a second.
    pub async fn run(self) -> Infallible {
        let mut is_reported = false;
        loop {
            let Err(error) = self.listen(&mut is_reported).await;
            if !is_reported {
                tracing::warn!(error = %error, "no notifications of changes arrive: keys and settings are read more often");
                is_reported = true;
            }
            sleep(RECONNECT_AFTER).await;
        }
    }

    async fn listen(&self, is_reported: &mut bool) -> Result<Infallible, sqlx::Error> {
        // A pool for each connection: the place of one that is frozen does not become free.
        let pool = PgPoolOptions::new().max_connections(1).acquire_timeout(RESPONDS_WITHIN);
        let mut listener = PgListener::connect_with(&pool.connect_lazy_with(self.options.clone())).await?;
        listener.eager_reconnect(false);
        let topics = Topic::VARIANTS.iter().map(|topic| topic.channel());
        let channels = topics.chain([self.heartbeat.as_str()]);
        timeout(RESPONDS_WITHIN, listener.listen_all(channels)).await.map_err(|_| no_response())??;
        self.changes.publish_all();
        loop {
            let sent_at = Instant::now();
            timeout(RESPONDS_WITHIN, self.beat(&mut listener)).await.map_err(|_| no_response())??;
            self.changes.complete_until(sent_at.into_std());
            if std::mem::take(is_reported) {
                tracing::info!("notifications of changes arrive again");
            }
            if let Ok(lost) = timeout_at(sent_at + HEARTBEAT, self.receive(&mut listener)).await {
                lost?;
            }
        }
    }

    /// Sends a heartbeat, and receives all notifications before it.
    async fn beat(&self, listener: &mut PgListener) -> Result<(), sqlx::Error> {
        sqlx::query_scalar!("select pg_notify($1, '')", self.heartbeat).execute(&mut *listener).await?;
        self.receive(listener).await
    }

    /// Passes on notifications until the heartbeat arrives.
    async fn receive(&self, listener: &mut PgListener) -> Result<(), sqlx::Error> {
        loop {
            let notification = listener.try_recv().await?.ok_or_else(no_response)?;
            match notification.channel().parse::<Topic>() {
                Ok(topic) => self.changes.publish(topic),
                Err(_) if notification.channel() == self.heartbeat => return Ok(()),
                Err(_) => {}
            }
        }
    }
}
