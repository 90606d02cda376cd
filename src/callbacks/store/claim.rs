//! Claims on callbacks, and their leases.

use jiff::{SignedDuration, Timestamp};
use jiff_sqlx::ToSqlx as _;
use uuid::Uuid;

use super::CallbackStore;
use super::row::Row;
use crate::callbacks::model::Callback;

/// Which due callbacks may be claimed. Those that need no request to CXone always may: their window or their dispatch time
/// has passed.
#[derive(Clone, Copy, Debug)]
pub struct Claimable {
    /// Whether CXone accepts contacts.
    pub contacts: bool,
    /// Whether CXone accepts SMS.
    pub messages: bool,
    /// A window that ends sooner than this has passed.
    pub notice: SignedDuration,
}

impl CallbackStore {
    /// Claims up to `limit` due callbacks until `lease_end`, those whose window ends first. No two replicas claim the same
    /// one.
    ///
    /// # Errors
    /// If Postgres is unavailable.
    pub async fn claim(
        &self,
        now: Timestamp,
        lease_end: Timestamp,
        claimable: Claimable,
        limit: usize,
    ) -> Result<Vec<Callback>, sqlx::Error> {
        let rows = sqlx::query_as!(
            Row,
            "with accepted as (
                 select id, requested_end from callbacks
                 where status = 'accepted' and due_at <= $1
                   and requested_end <= case when $4 then 'infinity' else $6::timestamptz end
                   and ($4 or dispatch_time is null or requested_end <= $1)
                 order by requested_end limit $3 for update skip locked
             ),
             scheduled as (
                 select id, requested_end from callbacks
                 where status = 'scheduled' and due_at <= $1
                   and case when change is not null then $4
                       else $5 or confirmation_started_at is not null or dispatch_time <= $1 end
                 order by requested_end limit $3 for update skip locked
             )
             update callbacks set due_at = $2, attempts = attempts + 1
             where id in (
                 select id from (table accepted union all table scheduled) as due order by requested_end limit $3
             )
             returning *",
            now.to_sqlx() as _,
            lease_end.to_sqlx() as _,
            i64::try_from(limit).unwrap_or(i64::MAX),
            claimable.contacts,
            claimable.messages,
            (now + claimable.notice).to_sqlx() as _
        );
        rows.fetch_all(&self.pool).await?.into_iter().map(Callback::try_from).collect()
    }

    /// Extends the lease of a claim, unless the claim is lost.
    ///
    /// # Errors
    /// If Postgres is unavailable.
    pub async fn renew_lease(&self, id: Uuid, attempts: i32, lease_end: Timestamp) -> Result<(), sqlx::Error> {
        self.set_due_at(id, attempts, lease_end).await
    }

    /// Ends a claim, unless it is lost: the callback is due again at once.
    ///
    /// # Errors
    /// If Postgres is unavailable.
    pub async fn release(&self, id: Uuid, attempts: i32, now: Timestamp) -> Result<(), sqlx::Error> {
        self.set_due_at(id, attempts, now).await
    }

    async fn set_due_at(&self, id: Uuid, attempts: i32, due_at: Timestamp) -> Result<(), sqlx::Error> {
        sqlx::query!(
            "update callbacks set due_at = $3 where id = $1 and attempts = $2 and due_at is not null",
            id,
            attempts,
            due_at.to_sqlx() as _
        )
        .execute(&self.pool)
        .await
        .map(drop)
    }
}
