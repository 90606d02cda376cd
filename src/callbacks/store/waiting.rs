//! What waits, for the metrics and the console.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;

use super::CallbackStore;
use crate::callbacks::model::Status;
use crate::jobs::{DueJobs, age_seconds};
use crate::types::{AllowedCampaigns, CampaignId};

/// The rows that are read for each status: counts end here.
const MOST: i64 = 10_000;

impl CallbackStore {
    /// When the oldest callback that CXone does not have yet was accepted. Of very many it reads those whose windows end first.
    ///
    /// # Errors
    /// If Postgres is unavailable.
    pub async fn oldest_waiting(&self) -> Result<Option<Timestamp>, sqlx::Error> {
        let oldest = sqlx::query_scalar!(
            "select min(created_at) from (select created_at from callbacks where status = 'accepted' and due_at is not null
                order by requested_end limit $1) as open",
            MOST
        );
        Ok(oldest.fetch_one(&self.pool).await?.map(|at| at.to_jiff()))
    }

    /// The campaigns with a plan of their placements, the one with the latest placement first, at most 100.
    ///
    /// # Errors
    /// If Postgres is unavailable.
    pub async fn placed_campaigns(&self, allowed: &AllowedCampaigns) -> Result<Vec<CampaignId>, sqlx::Error> {
        let allowed = allowed.texts();
        let ids = sqlx::query_scalar!(
            "select campaign_id from placement_plans where $1::text[] is null or campaign_id = any($1)
             order by last_placed_at desc limit 100",
            allowed.as_deref()
        );
        let ids = ids.fetch_all(&self.pool).await?;
        let parsed = ids.iter().map(|id| CampaignId::parse(id)).collect::<Result<_, _>>();
        parsed.map_err(|fault| sqlx::Error::Decode(fault.detail.into()))
    }

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
