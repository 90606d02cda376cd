//! What commands depend on when they arrive, and what they were answered with.

use jiff::Timestamp;

use super::campaigns::{CampaignStore, decode};
use crate::campaigns::model::CampaignSettings;
use crate::db::purge_in_steps;
use crate::types::CampaignId;

/// Commands are kept for longer than their idempotency keys, which last for seven days.
const COMMANDS_KEPT_DAYS: i64 = 8;
/// The commands that one statement deletes.
const PURGE_STEP: u64 = 5_000;

/// What a command depends on when it arrives.
#[derive(Clone, Debug, Default)]
pub struct CommandContext {
    pub settings: CampaignSettings,
    /// The campaign's revision; 0 where nothing is stored about the campaign.
    pub revision: i64,
    /// Until then the regulatory window of the settings is overridden.
    pub override_until: Option<Timestamp>,
}

impl CampaignStore {
    /// What a command to this campaign depends on.
    ///
    /// # Errors
    /// If Postgres fails.
    pub async fn command_context(&self, id: &CampaignId) -> Result<CommandContext, sqlx::Error> {
        let row = sqlx::query!(
            r#"select c.revision as "revision?", c.override_until as "override_until?", s.settings as "settings?"
               from (values ($1::text)) as named(campaign_id)
               left join campaigns as c using (campaign_id) left join campaign_settings as s using (campaign_id)"#,
            id.as_str()
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(CommandContext {
            settings: row.settings.map(decode).transpose()?.unwrap_or_default(),
            revision: row.revision.unwrap_or_default(),
            override_until: row.override_until.map(jiff_sqlx::Timestamp::to_jiff),
        })
    }

    /// Deletes commands that can no longer be repeated, and returns their number.
    ///
    /// # Errors
    /// If Postgres fails. What was deleted before stays deleted.
    pub async fn purge_commands(&self) -> Result<u64, sqlx::Error> {
        purge_in_steps(PURGE_STEP, |limit| async move {
            let purged = sqlx::query!(
                "delete from campaign_commands where ctid = any(array(
                     select ctid from campaign_commands
                     where created_at < clock_timestamp() - $2::bigint * interval '1 day'
                     order by created_at limit $1 for update skip locked
                 ))",
                limit,
                COMMANDS_KEPT_DAYS
            );
            Ok(purged.execute(&self.pool).await?.rows_affected())
        })
        .await
    }
}
