//! The outbox: deliveries are claimed, settled and released, and old events are deleted.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use uuid::Uuid;

use super::WebhookStore;
use crate::audit::Entry;
use crate::trace::Traceparent;
use crate::webhooks::model::{Attempt, Claimed, DeliveryLease, DeliveryStatus, Verdict};

/// The events that one statement deletes, with their deliveries and attempts.
const PURGE_STEP: i64 = 1_000;

/// What came of an attempt that was stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settled {
    /// Whether the endpoint is disabled by it.
    pub is_disabled: bool,
}

impl WebhookStore {
    /// Claims the delivery that has been due for longest, until `lease_end`. Only the first pending delivery of each endpoint
    /// and campaign can be claimed, so that deliveries are in order, and none of the `busy` endpoints. Endpoints that fail
    /// come last. Of configured endpoints only that with the URL `configured` can be claimed: this replica has its secret.
    ///
    /// # Errors
    /// If Postgres returns an error.
    pub async fn claim(
        &self,
        now: Timestamp,
        lease_end: Timestamp,
        busy: &[Uuid],
        configured: Option<&str>,
    ) -> Result<Option<Claimed>, sqlx::Error> {
        let row = sqlx::query_file!(
            "src/webhooks/store/claim.sql",
            now.to_sqlx() as _,
            lease_end.to_sqlx() as _,
            busy,
            configured
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(row.map(|row| Claimed {
            id: row.id,
            claim: row.claims,
            attempts: row.attempts.unsigned_abs(),
            event_id: row.event_id,
            body: row.body,
            endpoint: row.endpoint_id,
            url: row.url,
            is_configured: row.is_configured,
            secret: row.secret,
            previous_secrets: row.previous_secrets,
            trace: row.traceparent.as_deref().and_then(Traceparent::parse),
            failing_since: row.failing_since.map(jiff_sqlx::Timestamp::to_jiff),
        }))
    }

    /// Stores an attempt and its consequence, with `entry` where it disables the endpoint. None, and no change, where the
    /// claim is lost.
    ///
    /// # Errors
    /// If Postgres returns an error.
    pub async fn settle(
        &self,
        claimed: &Claimed,
        attempt: &Attempt,
        verdict: &Verdict,
        entry: Option<Entry>,
    ) -> Result<Option<Settled>, sqlx::Error> {
        let (status, due_at) = match verdict {
            Verdict::Succeeded => (DeliveryStatus::Succeeded, None),
            Verdict::Again(at) => (DeliveryStatus::Pending, Some(at.to_sqlx())),
            Verdict::Dead | Verdict::Disabled { .. } => (DeliveryStatus::Dead, None),
        };
        let (disabled, failing_since) = match verdict {
            Verdict::Disabled { reason, failing_since } => (Some(*reason), failing_since.map(|at| at.to_sqlx())),
            Verdict::Succeeded | Verdict::Again(_) | Verdict::Dead => (None, None),
        };
        let settled = sqlx::query_file!(
            "src/webhooks/store/settle.sql",
            claimed.id,
            claimed.claim,
            status.as_str(),
            due_at as _,
            attempt.at.to_sqlx() as _,
            attempt.duration_ms,
            attempt.status.map(|status| i16::try_from(status).unwrap_or(i16::MAX)),
            attempt.error,
            attempt.answer,
            disabled,
            entry.map(Entry::into_json),
            failing_since as _
        );
        Ok(settled.fetch_optional(&self.pool).await?.map(|row| Settled { is_disabled: row.is_disabled }))
    }

    /// Releases a claim: the delivery is due again at `due_at`, and no attempt is counted.
    ///
    /// # Errors
    /// If Postgres returns an error.
    pub async fn release(&self, lease: &DeliveryLease, due_at: Timestamp) -> Result<(), sqlx::Error> {
        sqlx::query!(
            "update webhook_deliveries set due_at = $3 where id = $1 and claims = $2 and status = 'pending'",
            lease.delivery,
            lease.claim,
            due_at.to_sqlx() as _
        )
        .execute(&self.pool)
        .await
        .map(drop)
    }

    /// Releases the delivery of a claim whose answer was lost. It is found by the end of its lease, which has a random part, so
    /// that no other delivery is due at the same microsecond.
    ///
    /// # Errors
    /// If Postgres returns an error.
    pub async fn release_lost(&self, lease_end: Timestamp, now: Timestamp) -> Result<(), sqlx::Error> {
        sqlx::query!(
            "update webhook_deliveries set due_at = $2 where due_at = $1 and status = 'pending'",
            lease_end.to_sqlx() as _,
            now.to_sqlx() as _
        )
        .execute(&self.pool)
        .await
        .map(drop)
    }

    /// Ends the pending deliveries of endpoints that are deleted or disabled: they are dead. An event may be committed after its
    /// endpoint was deleted or disabled. A row that another transaction is writing is left to it. Returns their number.
    ///
    /// # Errors
    /// If Postgres returns an error.
    pub async fn end_undeliverable(&self, now: Timestamp) -> Result<u64, sqlx::Error> {
        let ended = sqlx::query!(
            "update webhook_deliveries set status = 'dead', due_at = null, updated_at = $1
             where id in (
                 select d.id from webhook_deliveries as d join webhook_endpoints as e on e.id = d.endpoint_id
                 where d.status = 'pending' and (e.deleted_at is not null or e.disabled_at is not null)
                 for update of d skip locked
             )",
            now.to_sqlx() as _
        );
        Ok(ended.execute(&self.pool).await?.rows_affected())
    }

    /// Deletes events from before a moment that have no pending delivery, with their deliveries and attempts. Returns their
    /// number. Events with a pending delivery are passed over once, not once for each step.
    ///
    /// # Errors
    /// If Postgres returns an error; earlier steps are committed.
    pub async fn purge(&self, before: Timestamp) -> Result<u64, sqlx::Error> {
        let (mut after, mut purged) = ((Timestamp::UNIX_EPOCH, 0), 0);
        loop {
            let old = sqlx::query!(
                "select seq, created_at from webhook_events
                 where created_at < $1 and created_at >= $2 and (created_at, seq) > ($2, $3)
                 order by created_at, seq limit $4",
                before.to_sqlx() as _,
                after.0.to_sqlx() as _,
                after.1,
                PURGE_STEP
            )
            .fetch_all(&self.pool)
            .await?;
            let seqs: Vec<i64> = old.iter().map(|event| event.seq).collect();
            let deleted = sqlx::query!(
                "delete from webhook_events as e where e.seq = any($1) and not exists (
                     select from webhook_deliveries as d join webhook_endpoints as p on p.id = d.endpoint_id
                     where d.event_seq = e.seq and d.status = 'pending' and p.deleted_at is null
                 )",
                &seqs
            );
            purged += deleted.execute(&self.pool).await?.rows_affected();
            let is_last = i64::try_from(old.len()).unwrap_or(i64::MAX) < PURGE_STEP;
            match old.last().filter(|_| !is_last) {
                Some(last) => after = (last.created_at.to_jiff(), last.seq),
                None => return Ok(purged),
            }
        }
    }
}
