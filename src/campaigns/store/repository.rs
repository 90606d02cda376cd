//! The store as the reconciler uses it.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use serde_json::{Value, json};
use uuid::Uuid;

use super::campaigns::{CampaignStore, decode};
use crate::audit::Entry;
use crate::campaigns::model::{Campaign, Changes, Report};
use crate::campaigns::ports::CampaignRepository;
use crate::db::Topic;
use crate::types::CampaignId;

impl CampaignRepository for CampaignStore {
    async fn load(&self, id: &CampaignId) -> Result<Campaign, sqlx::Error> {
        if let Some(campaign) = self.find(id).await? {
            return Ok(campaign);
        }
        // A command without a lease may be the first about its campaign, or come just after a refused one.
        self.insert_unknown(id).await?;
        self.find(id).await?.ok_or(sqlx::Error::RowNotFound)
    }

    async fn save(
        &self,
        campaign: &Campaign,
        changes: Changes,
        lease: Option<Uuid>,
        release: bool,
    ) -> Result<bool, sqlx::Error> {
        let at = |at: Option<Timestamp>| at.map(|at| at.to_sqlx());
        let has_holds = changes.has_holds();
        let entries: Vec<Value> = changes.entries.into_iter().map(Entry::into_json).collect();
        let saved = sqlx::query_file!(
            "src/campaigns/store/save.sql",
            campaign.id.as_str(),
            campaign.revision,
            lease,
            release,
            campaign.state().map(|state| state.as_str()),
            at(campaign.seen.map(|(_, at)| at)) as _,
            (!campaign.last_sent.is_empty()).then(|| json!(campaign.last_sent)),
            campaign.resume.as_ref().map(|resume| json!(resume)),
            at(campaign.override_until) as _,
            i32::try_from(campaign.failures).unwrap_or(i32::MAX),
            campaign.failure.as_ref().map(|failure| failure.code.as_str()),
            campaign.failure.as_ref().map(|failure| failure.detail.as_str()),
            at(campaign.due_at) as _,
            changes.command.as_ref().map(|(id, _)| *id),
            changes.command.as_ref().map(|(_, report)| json!(report)),
            json!(changes.placed),
            json!(changes.refreshed),
            json!(changes.lifted),
            json!(entries),
            json!(changes.confirmed),
            has_holds,
            at(campaign.check_at) as _,
            at(campaign.counted_from) as _,
        );
        let saved = saved.fetch_optional(&self.pool).await?.is_some();
        if saved && has_holds {
            self.pool.changes().publish(Topic::PlacementRules);
            self.holds_changed.notify_one();
        }
        Ok(saved)
    }

    async fn release(&self, id: &CampaignId, lease: Uuid, entry: Option<Entry>) -> Result<(), sqlx::Error> {
        sqlx::query!(
            "with released as (
                 update campaigns set leased_by = null, leased_until = null where campaign_id = $1 and leased_by = $2
             )
             select audit_record($3) as id",
            id.as_str(),
            lease,
            entry.map(Entry::into_json)
        )
        .fetch_one(&self.pool)
        .await
        .map(drop)
    }

    async fn command_report(&self, command: Uuid) -> Result<Option<Report>, sqlx::Error> {
        let report = sqlx::query_scalar!("select report from campaign_commands where id = $1", command);
        report.fetch_optional(&self.pool).await?.map(decode).transpose()
    }
}
