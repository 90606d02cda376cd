//! The metrics of holds, and of campaigns for which something is due.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use strum::VariantNames as _;

use super::CampaignStore;
use crate::campaigns::model::PauseReason;
use crate::jobs::DueJobs;

/// The rows that are read: counts end here.
const MOST: i64 = 10_000;

impl CampaignStore {
    /// Sets the metrics, from the first rows of indexes.
    ///
    /// # Errors
    /// If Postgres is unavailable.
    pub async fn export_waiting(&self, now: Timestamp) -> Result<(), sqlx::Error> {
        let due = sqlx::query!(
            r#"select count(*) as "count!", min(due_at) as since
               from (select due_at from campaigns
                     where due_at <= $1 and (leased_until is null or leased_until <= $1) order by due_at limit $2) as due"#,
            now.to_sqlx() as _,
            MOST
        )
        .fetch_one(&self.pool)
        .await?;
        DueJobs { queue: "campaigns", count: due.count, since: due.since.map(|at| at.to_jiff()) }.export(now);
        let holds = sqlx::query!(
            r#"select reason, count(*) as "count!"
               from (select reason from campaign_holds where lifted_at is null limit $1) as hold group by reason"#,
            MOST
        )
        .fetch_all(&self.pool)
        .await?;
        for reason in PauseReason::VARIANTS {
            let count = holds.iter().find(|row| row.reason == *reason).map_or(0, |row| row.count);
            #[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
            metrics::gauge!("ringback_campaign_holds", "reason" => *reason).set(count as f64);
        }
        Ok(())
    }
}
