//! How far outcomes are read. One replica at a time reads them.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use serde_json::json;
use uuid::Uuid;

use super::CallbackStore;
use crate::cxone::Disposition;

/// The place in the list of calls, with the lease of the replica that reads on.
#[derive(Clone, Debug, PartialEq)]
pub struct OutcomePoll {
    pub lease: Uuid,
    pub updated_since: Option<Timestamp>,
    pub skip: u32,
    /// From here on after the last page.
    pub next_since: Option<Timestamp>,
    pub dispositions: Vec<Disposition>,
    pub dispositions_read_at: Option<Timestamp>,
}

impl CallbackStore {
    /// Claims the poll if it is due, until `lease_end`.
    ///
    /// # Errors
    /// If Postgres is unavailable.
    pub async fn claim_outcome_poll(
        &self,
        lease: Uuid,
        now: Timestamp,
        lease_end: Timestamp,
    ) -> Result<Option<OutcomePoll>, sqlx::Error> {
        let row = sqlx::query!(
            r#"update callback_outcome_poll set lease = $1, due_at = $3 where due_at <= $2
               returning updated_since as "updated_since: jiff_sqlx::Timestamp", skip,
                   next_since as "next_since: jiff_sqlx::Timestamp", dispositions,
                   dispositions_read_at as "read_at: jiff_sqlx::Timestamp""#,
            lease,
            now.to_sqlx() as _,
            lease_end.to_sqlx() as _
        );
        let Some(row) = row.fetch_optional(&self.pool).await? else { return Ok(None) };
        let dispositions = row.dispositions.map(serde_json::from_value).transpose();
        Ok(Some(OutcomePoll {
            lease,
            updated_since: row.updated_since.map(jiff_sqlx::Timestamp::to_jiff),
            skip: u32::try_from(row.skip).unwrap_or_default(),
            next_since: row.next_since.map(jiff_sqlx::Timestamp::to_jiff),
            dispositions: dispositions.map_err(|error| sqlx::Error::Decode(error.into()))?.unwrap_or_default(),
            dispositions_read_at: row.read_at.map(jiff_sqlx::Timestamp::to_jiff),
        }))
    }

    /// Stores how far the poll has got, and when it is due next: the end of the lease while it goes on. Returns false, and
    /// stores nothing, if another replica has the lease.
    ///
    /// # Errors
    /// If Postgres is unavailable.
    pub async fn save_outcome_poll(&self, poll: &OutcomePoll, due_at: Timestamp) -> Result<bool, sqlx::Error> {
        let saved = sqlx::query!(
            "update callback_outcome_poll set updated_since = $2, skip = $3, next_since = $4, dispositions = $5,
                 dispositions_read_at = $6, due_at = $7
             where lease = $1",
            poll.lease,
            poll.updated_since.map(|at| at.to_sqlx()) as _,
            i32::try_from(poll.skip).unwrap_or(i32::MAX),
            poll.next_since.map(|at| at.to_sqlx()) as _,
            json!(poll.dispositions),
            poll.dispositions_read_at.map(|at| at.to_sqlx()) as _,
            due_at.to_sqlx() as _
        );
        Ok(saved.execute(&self.pool).await?.rows_affected() > 0)
    }
}
