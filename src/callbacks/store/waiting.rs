//! The metrics of callbacks that have work left to do.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;

use super::CallbackStore;
use crate::callbacks::model::Status;
use crate::jobs::{DueJobs, age_seconds};

/// The rows that are read for each status: counts end here.
const MOST: i64 = 10_000;

impl CallbackStore {
    /// Sets the metrics, from the first rows of an index.
    ///
    /// # Errors
    /// If Postgres is unavailable.
    pub async fn export_waiting(&self, now: Timestamp) -> Result<(), sqlx::Error> {
        let mut due = DueJobs { queue: "callbacks", count: 0, since: None };
        for status in [Status::Accepted, Status::Scheduled] {
            let row = sqlx::query!(
                r#"select count(*) as "open!", min(created_at) as oldest,
                     count(*) filter (where due_at <= $2) as "due!", min(due_at) filter (where due_at <= $2) as due_since
                   from (select created_at, due_at from callbacks where status = $1 and due_at is not null
                         order by requested_end limit $3) as open"#,
                status.as_ref(),
                now.to_sqlx() as _,
                MOST
            )
            .fetch_one(&self.pool)
            .await?;
            let label = status.as_ref().to_owned();
            let oldest = row.oldest.map(|at| at.to_jiff());
            metrics::gauge!("ringback_callbacks_oldest_age_seconds", "status" => label.clone())
                .set(age_seconds(oldest, now));
            #[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
            metrics::gauge!("ringback_callbacks_in_progress", "status" => label).set(row.open as f64);
            due.count += row.due;
            due.since = due.since.into_iter().chain(row.due_since.map(|at| at.to_jiff())).min();
        }
        due.export(now);
        Ok(())
    }
}
