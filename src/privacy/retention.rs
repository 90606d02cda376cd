//! How long callbacks are kept after they have ended, and with them everything that is found by them.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::audit::{Action, Actor, Entry, Outcome, record};
use crate::callbacks::CallbackStore;
use crate::clock::Clock;
use crate::db::Db;
use crate::http::IdempotencyStore;
use crate::jobs::PURGE;
use crate::webhooks::WebhookStore;

/// Callbacks that one transaction deletes.
const STEP: i64 = 500;
/// Lets other statements run between two steps.
const PAUSE: Duration = Duration::from_millis(20);

/// Deletes callbacks that ended long ago.
#[derive(Clone, Debug)]
pub struct Retention {
    db: Db,
    kept_for: SignedDuration,
    clock: Clock,
}

/// The detail of the audit entry of a step.
#[derive(Serialize)]
struct DeletedDetail {
    callbacks: usize,
    before: Timestamp,
}

impl Retention {
    /// Keeps callbacks for this many days.
    pub fn new(db: Db, days: u32, clock: Clock) -> Self {
        Self { db, kept_for: SignedDuration::from_hours(24 * i64::from(days)), clock }
    }

    /// Deletes until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let delete = || async { Box::pin(self.delete_all()).await.map(drop) };
        PURGE.run(&stop, "old callbacks were not deleted", delete).await;
    }

    /// Deletes all callbacks whose time is over, in steps. Returns their number.
    ///
    /// # Errors
    /// If Postgres fails. What was deleted before stays deleted.
    pub async fn delete_all(&self) -> Result<usize, sqlx::Error> {
        let before = self.clock.now() - self.kept_for;
        let mut deleted = 0;
        loop {
            let step = self.delete_some(before).await?;
            deleted += step;
            if i64::try_from(step).is_ok_and(|step| step < STEP) {
                break;
            }
            tokio::time::sleep(PAUSE).await;
        }
        if deleted > 0 {
            tracing::info!(deleted, "deleted callbacks that ended long ago");
        }
        Ok(deleted)
    }

    async fn delete_some(&self, before: Timestamp) -> Result<usize, sqlx::Error> {
        let mut transaction = self.db.begin().await?;
        let ids = CallbackStore::delete_ended(&mut transaction, before, STEP).await?;
        if ids.is_empty() {
            transaction.rollback().await?;
            return Ok(0);
        }
        // An erasure would not find them without their callbacks.
        IdempotencyStore::erase(&mut transaction, &ids).await?;
        WebhookStore::erase_events(&mut transaction, &ids).await?;
        let (id, now, actor) = (self.clock.new_id(), self.clock.now(), Actor::system("retention"));
        let entry = Entry::new(id, now, Action::CallbackDeleted, actor, Outcome::Succeeded)
            .with_detail(&DeletedDetail { callbacks: ids.len(), before });
        record(&mut transaction, entry).await?;
        transaction.commit().await?;
        Ok(ids.len())
    }
}

#[cfg(test)]
mod tests {
    use sqlx::PgPool;

    use super::*;

    #[sqlx::test]
    async fn old_callbacks_are_deleted_in_steps_and_counted_in_the_audit_log(pool: PgPool) {
        sqlx::query(
            "insert into callbacks (id, status, phone_number, campaign_id, requested_start, requested_end, language, confirmation,
                 failure_code, failure_detail, attempts, request_id, created_at, updated_at)
             select gen_random_uuid(), 'expired', '+1202555' || lpad(n::text, 4, '0'), 'c', t, t + interval '1 hour', 'en', 'pending',
                 'window-passed', 'x', 1, 'r', t, t
             from generate_series(1, 520) as n,
                 lateral (select now() - case when n > 510 then interval '9 days' else interval '11 days' end as t) as at",
        )
        .execute(&pool)
        .await
        .unwrap();
        let retention = Retention::new(Db::new(pool.clone()), 10, Clock::system());
        assert_eq!(retention.delete_all().await.unwrap(), 510);
        assert_eq!(retention.delete_all().await.unwrap(), 0);
        let counts: Vec<i64> = sqlx::query_scalar(
            "select (detail -> 'callbacks')::bigint from audit_entries where action = 'callback.deleted' order by seq",
        )
        .fetch_all(&pool)
        .await
        .unwrap();
        assert_eq!(counts, [500, 10]);
    }
}
