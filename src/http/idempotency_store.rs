//! Idempotency keys in Postgres: their claims and responses.

use std::time::Duration;

use jiff_sqlx::ToSqlx as _;
use serde_json::Value;
use uuid::Uuid;

use crate::clock::Clock;
use crate::db::{Db, Transaction, purge_in_steps};

/// How long keys are kept: the 7 days of the API's contract.
const KEEP_FOR: Duration = Duration::from_hours(7 * 24);
/// The lease of a run. After a crash, the next request with the key waits at most this long.
pub const LEASE: Duration = Duration::from_secs(6);
/// The most answers that are listed at once.
const MOST_LISTED: i64 = 2_000;
/// The maximum number of rows that one statement deletes.
const PURGE_BATCH: u64 = 5_000;

/// The hash of a request that was erased. No request has it.
const ERASED: [u8; 32] = [0; 32];

/// The id of the resource that a POST creates. A request repeated under its idempotency key has the same one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResourceId {
    pub id: Uuid,
    /// Whether an earlier run of the same request may have used it.
    pub repeated: bool,
}

/// The table of idempotency keys.
#[derive(Clone, Debug)]
pub struct IdempotencyStore {
    pool: Db,
    clock: Clock,
}

/// The claim of one run on a key.
#[derive(Clone, Debug)]
pub struct Claim {
    caller: Uuid,
    key: String,
    id: Uuid,
    /// The resource id if the key is new.
    resource: Uuid,
}

/// What is kept of a request about a callback.
#[derive(Clone, Debug)]
pub struct KeptAnswer {
    pub callback: Uuid,
    pub key: String,
    pub created_at: jiff::Timestamp,
    /// None while the request runs.
    pub status: Option<i16>,
    pub body: Option<Value>,
}

/// A stored response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredResponse {
    pub status: i16,
    pub headers: Value,
    pub body: Vec<u8>,
}

/// The result of an attempt to claim a key.
#[derive(Debug, PartialEq, Eq)]
pub enum Lookup {
    /// This run has the key.
    Claimed(ResourceId),
    Answered(StoredResponse),
    /// An earlier run has not finished.
    Running,
    /// The key was used for a different request.
    OtherRequest,
    /// The request and its response were erased.
    Erased,
}

impl IdempotencyStore {
    /// Stores keys in this database.
    pub fn new(pool: Db, clock: Clock) -> Self {
        Self { pool, clock }
    }

    /// A claim that is not stored yet. What is stored of a request about a callback that exists is found by the id of that.
    pub fn new_claim(&self, caller: Uuid, key: String, callback: Option<Uuid>) -> Claim {
        Claim { caller, key, id: self.clock.new_id(), resource: callback.unwrap_or_else(|| self.clock.new_id()) }
    }

    /// Claims a key that is new, expired, or left without a response by its last run.
    ///
    /// # Errors
    /// If Postgres fails; the claim may have been committed.
    pub async fn claim(&self, claim: &Claim, hash: &[u8; 32]) -> Result<Lookup, sqlx::Error> {
        let now = self.clock.now();
        let claimed = sqlx::query!(
            r#"insert into idempotency_keys as kept
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
             returning resource_id,
                 -- Not zero where the row was updated.
                 (xmax <> 0 and exists (
                     select from idempotency_keys as before
                     where before.api_key_id = $1 and before.key = $2 and before.created_at >= $7
                 )) as "repeated!""#,
            claim.caller,
            claim.key,
            hash,
            claim.resource,
            (now + LEASE).to_sqlx() as _,
            now.to_sqlx() as _,
            (now - KEEP_FOR).to_sqlx() as _,
            claim.id
        )
        .fetch_optional(&self.pool)
        .await?;
        match claimed {
            Some(row) => Ok(Lookup::Claimed(ResourceId { id: row.resource_id, repeated: row.repeated })),
            None => self.look_up(claim, hash).await,
        }
    }

    async fn look_up(&self, claim: &Claim, hash: &[u8; 32]) -> Result<Lookup, sqlx::Error> {
        let kept = sqlx::query!(
            "select request_hash, answer_status, answer_headers, answer_body from idempotency_keys
             where api_key_id = $1 and key = $2",
            claim.caller,
            claim.key
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(match kept {
            None => Lookup::Running,
            Some(kept) if kept.request_hash == ERASED => Lookup::Erased,
            Some(kept) if kept.request_hash != hash => Lookup::OtherRequest,
            Some(kept) => match (kept.answer_status, kept.answer_headers, kept.answer_body) {
                (Some(status), Some(headers), Some(body)) => Lookup::Answered(StoredResponse { status, headers, body }),
                _ => Lookup::Running,
            },
        })
    }

    /// Renews the lease.
    ///
    /// # Errors
    /// If Postgres fails.
    pub async fn renew(&self, claim: &Claim) -> Result<(), sqlx::Error> {
        self.lease_until(claim, self.clock.now() + LEASE).await
    }

    /// Ends the run without a response: the next request with the key continues at once, with the same resource id.
    ///
    /// # Errors
    /// If Postgres fails.
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

    /// Stores the response.
    ///
    /// # Errors
    /// If Postgres fails.
    pub async fn keep(&self, claim: &Claim, answer: &StoredResponse) -> Result<(), sqlx::Error> {
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

    /// Releases the key of a request that did nothing.
    ///
    /// # Errors
    /// If Postgres fails.
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

    /// Erases the requests about callbacks and their responses, also of requests that still run. The keys stay, so that no
    /// repeated request creates a callback again. Returns the number of keys.
    ///
    /// # Errors
    /// If Postgres fails.
    pub async fn erase(transaction: &mut Transaction, callbacks: &[Uuid]) -> Result<u64, sqlx::Error> {
        // Without its claim, a running request stores nothing.
        let erased = sqlx::query!(
            "update idempotency_keys set request_hash = $2, claim_id = null, answer_status = coalesce(answer_status, 422),
                 answer_headers = '{}', answer_body = ''
             where resource_id = any($1) and request_hash <> $2",
            callbacks,
            &ERASED
        );
        Ok(erased.execute(transaction).await?.rows_affected())
    }

    /// What is kept of requests about callbacks.
    ///
    /// # Errors
    /// If Postgres fails.
    pub async fn about(db: &Db, callbacks: &[Uuid]) -> Result<Vec<KeptAnswer>, sqlx::Error> {
        let rows = sqlx::query!(
            "select resource_id, key, created_at, answer_status, answer_body from idempotency_keys
             where resource_id = any($1) and request_hash <> $2
             order by created_at limit $3",
            callbacks,
            &ERASED,
            MOST_LISTED
        );
        let rows = rows.fetch_all(db).await?.into_iter().map(|row| KeptAnswer {
            callback: row.resource_id,
            key: row.key,
            created_at: row.created_at.to_jiff(),
            status: row.answer_status,
            body: row.answer_body.and_then(|body| serde_json::from_slice(&body).ok()),
        });
        Ok(rows.collect())
    }

    /// Deletes expired keys.
    ///
    /// # Errors
    /// If Postgres fails; earlier batches stay deleted.
    pub async fn purge(&self) -> Result<u64, sqlx::Error> {
        let before = self.clock.now() - KEEP_FOR;
        purge_in_steps(PURGE_BATCH, |limit| async move {
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
