//! The leases under which campaigns are worked on. They are set and compared by Postgres's clock.

use std::time::Duration;

use serde_json::Value;
use uuid::Uuid;

use super::campaigns::{CampaignStore, decode};
use crate::types::CampaignId;

/// A lease ends after this time, unless it is renewed. This is the longest delay that a crash causes.
const LEASE: Duration = Duration::from_secs(5);

impl CampaignStore {
    /// Claims the lease of a campaign, which is inserted where it is missing. Returns false where another lease is held.
    ///
    /// # Errors
    /// If Postgres fails.
    pub async fn claim(&self, id: &CampaignId, lease: Uuid) -> Result<bool, sqlx::Error> {
        // This commit does not wait for the disk: a lease that is lost in a crash of Postgres is free, as it should be.
        let claimed = sqlx::query!(
            "with quick as materialized (select set_config('synchronous_commit', 'off', true) as setting)
             insert into campaigns as stored (campaign_id, leased_by, leased_until, created_at, updated_at)
             select $1, $2, clock_timestamp() + $3::double precision * interval '1 second', clock_timestamp(),
                 clock_timestamp()
             from quick
             on conflict (campaign_id) do update set leased_by = excluded.leased_by, leased_until = excluded.leased_until
                 where stored.leased_until is null or stored.leased_until <= clock_timestamp()
             returning campaign_id",
            id.as_str(),
            lease,
            LEASE.as_secs_f64()
        );
        Ok(claimed.fetch_optional(&self.pool).await?.is_some())
    }

    /// Claims the lease of the campaign that has been due the longest. Where none is due, and with `with_checks`, of the
    /// campaign whose check has been due the longest. No two replicas get the same campaign.
    ///
    /// # Errors
    /// If Postgres fails.
    pub async fn claim_due(&self, lease: Uuid, with_checks: bool) -> Result<Option<CampaignId>, sqlx::Error> {
        // statement_timestamp() is the same for all rows, so that the indexes can be used. coalesce() does not run the
        // second query where the first finds a campaign.
        let claimed = sqlx::query_scalar!(
            "update campaigns
             set leased_by = $1, leased_until = clock_timestamp() + $2::double precision * interval '1 second'
             where campaign_id = coalesce(
                 (select campaign_id from campaigns
                  where due_at <= statement_timestamp()
                    and (leased_until is null or leased_until <= statement_timestamp())
                  order by due_at limit 1 for update skip locked),
                 (select campaign_id from campaigns
                  where $3 and check_at <= statement_timestamp()
                    and (leased_until is null or leased_until <= statement_timestamp())
                  order by check_at limit 1 for update skip locked)
             )
             returning campaign_id",
            lease,
            LEASE.as_secs_f64(),
            with_checks
        );
        claimed.fetch_optional(&self.pool).await?.map(|id| decode(Value::String(id))).transpose()
    }

    /// Extends a lease that is still held.
    ///
    /// # Errors
    /// If Postgres fails.
    pub async fn renew(&self, id: &CampaignId, lease: Uuid) -> Result<(), sqlx::Error> {
        sqlx::query!(
            "update campaigns set leased_until = clock_timestamp() + $3::double precision * interval '1 second'
             where campaign_id = $1 and leased_by = $2",
            id.as_str(),
            lease,
            LEASE.as_secs_f64()
        )
        .execute(&self.pool)
        .await
        .map(drop)
    }

    /// Ends a lease, whichever campaign it is for.
    ///
    /// # Errors
    /// If Postgres fails.
    pub async fn end_lease(&self, lease: Uuid) -> Result<(), sqlx::Error> {
        sqlx::query!("update campaigns set leased_by = null, leased_until = null where leased_by = $1", lease)
            .execute(&self.pool)
            .await
            .map(drop)
    }
}
