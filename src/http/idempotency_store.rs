//! Idempotency keys in Postgres: who holds one, and what it was answered.

use std::time::Duration;

use jiff_sqlx::ToSqlx as _;
use serde_json::Value;
use uuid::Uuid;

use crate::clock::Clock;
use crate::db::{Db, purge_in_steps};

/// How long answers are kept (the contract's 7 days).
const KEPT_FOR: Duration = Duration::from_secs(7 * 24 * 3600);
/// A run that does not renew its lease is taken to be dead after so long: what a crash costs the next request with the
/// key.
pub const LEASE: Duration = Duration::from_secs(6);
/// Rows that one statement deletes.
const PURGE_STEP: u64 = 5_000;

/// The id of the resource that a POST creates. A request repeated under its idempotency key has the same one.
#[derive(Clone, Copy, Debug)]
pub struct ResourceId {
    pub id: Uuid,
    /// Whether an earlier run of the same request may have used it.
    pub repeated: bool,
}

/// The table of keys.
#[derive(Clone, Debug)]
pub struct KeyedAnswers {
    pool: Db,
    clock: Clock,
}

/// A key that one run of a request holds.
#[derive(Clone, Debug)]
pub struct Claim {
    caller: Uuid,
    key: String,
    id: Uuid,
}

/// An answer as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptAnswer {
    pub status: i16,
    pub headers: Value,
    pub body: Vec<u8>,
}

/// What a key turns out to be.
pub enum Found {
    Ours(ResourceId),
    Answered(KeptAnswer),
    Running,
    OfAnotherRequest,
}

impl KeyedAnswers {
    /// Over this database.
    pub fn new(pool: Db, clock: Clock) -> Self {
        Self { pool, clock }
    }

    /// A claim that is not made yet.
    pub fn new_claim(&self, caller: Uuid, key: String) -> Claim {
        Claim { caller, key, id: self.clock.new_id() }
    }

    /// Takes the key where nobody has it, where its answer is too old, or where its last run has ended without an answer.
    ///
    /// # Errors
    /// Where Postgres refuses; the key may be taken all the same.
    pub async fn claim(&self, claim: &Claim, hash: &[u8; 32]) -> Result<Found, sqlx::Error> {
        let now = self.clock.now();
        let fresh = self.clock.new_id();
        let claimed = sqlx::query!(
            "insert into idempotency_keys as kept
                 (api_key_id, key, request_hash, resource_id, leased_until, created_at, claim_id)
             values ($1, $2, $3, $4, $5, $6, $8)
             on conflict (api_key_id, key) do update set
                 request_hash = excluded.request_hash,
                 resource_id = case when kept.created_at < $7 then excluded.resource_id else kept.resource_id end,
                 leased_until = excluded.leased_until,
                 created_at = excluded.created_at,
                 claim_id = excluded.claim_id,
                 answer_status = null, answer_headers = null, answer_body = null
             where kept.created_at < $7
                or (kept.answer_status is null and kept.leased_until < $6
                    and kept.request_hash = excluded.request_hash)
             returning resource_id",
            claim.caller,
            claim.key,
            hash,
            fresh,
            (now + LEASE).to_sqlx() as _,
            now.to_sqlx() as _,
            (now - KEPT_FOR).to_sqlx() as _,
            claim.id
        )
        .fetch_optional(&self.pool)
        .await?;
        match claimed {
            Some(row) => Ok(Found::Ours(ResourceId { id: row.resource_id, repeated: row.resource_id != fresh })),
            None => self.look_up(claim, hash).await,
        }
    }

    async fn look_up(&self, claim: &Claim, hash: &[u8; 32]) -> Result<Found, sqlx::Error> {
        let kept = sqlx::query!(
            "select request_hash, answer_status, answer_headers, answer_body from idempotency_keys
             where api_key_id = $1 and key = $2",
            claim.caller,
            claim.key
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(match kept {
            None => Found::Running,
            Some(kept) if kept.request_hash != hash => Found::OfAnotherRequest,
            Some(kept) => match (kept.answer_status, kept.answer_headers, kept.answer_body) {
                (Some(status), Some(headers), Some(body)) => Found::Answered(KeptAnswer { status, headers, body }),
                _ => Found::Running,
            },
        })
    }

    /// Makes the lease last longer.
    ///
    /// # Errors
    /// Where Postgres refuses.
    pub async fn renew(&self, claim: &Claim) -> Result<(), sqlx::Error> {
        self.lease_until(claim, self.clock.now() + LEASE).await
    }

    /// Ends the run without an answer: the next request with the key goes on at once, under the same resource id.
    ///
    /// # Errors
    /// Where Postgres refuses.
    pub async fn end(&self, claim: &Claim) -> Result<(), sqlx::Error> {
        self.lease_until(claim, jiff::Timestamp::UNIX_EPOCH).await
    }

    async fn lease_until(&self, claim: &Claim, until: jiff::Timestamp) -> Result<(), sqlx::Error> {
        sqlx::query!(
            "update idempotency_keys set leased_until = $4
             where api_key_id = $1 and key = $2 and claim_id = $3 and answer_status is null",
            claim.caller,
            claim.key,
            claim.id,
            until.to_sqlx() as _
        )
        .execute(&self.pool)
        .await
        .map(drop)
    }

    /// Keeps the answer.
    ///
    /// # Errors
    /// Where Postgres refuses.
    pub async fn keep(&self, claim: &Claim, answer: &KeptAnswer) -> Result<(), sqlx::Error> {
        sqlx::query!(
            "update idempotency_keys set answer_status = $4, answer_headers = $5, answer_body = $6
             where api_key_id = $1 and key = $2 and claim_id = $3",
            claim.caller,
            claim.key,
            claim.id,
            answer.status,
            answer.headers,
            answer.body
        )
        .execute(&self.pool)
        .await
        .map(drop)
    }

    /// Frees the key of a request that did nothing.
    ///
    /// # Errors
    /// Where Postgres refuses.
    pub async fn free(&self, claim: &Claim) -> Result<(), sqlx::Error> {
        sqlx::query!(
            "delete from idempotency_keys
             where api_key_id = $1 and key = $2 and claim_id = $3 and answer_status is null",
            claim.caller,
            claim.key,
            claim.id
        )
        .execute(&self.pool)
        .await
        .map(drop)
    }

    /// Deletes what is older than it need be kept.
    ///
    /// # Errors
    /// Where Postgres refuses; what was deleted before stays so.
    pub async fn purge(&self) -> Result<u64, sqlx::Error> {
        let before = self.clock.now() - KEPT_FOR;
        purge_in_steps(PURGE_STEP, |limit| async move {
            let purged = sqlx::query!(
                "delete from idempotency_keys where ctid = any(array(
                     select ctid from idempotency_keys where created_at < $1 order by created_at limit $2
                     for update skip locked
                 ))",
                before.to_sqlx() as _,
                limit
            );
            Ok(purged.execute(&self.pool).await?.rows_affected())
        })
        .await
    }
}
