//! The settings in Postgres.

use std::collections::HashMap;

use sqlx::PgPool;

use super::settings::CampaignSettings;
use crate::types::CampaignId;

/// The table of settings.
#[derive(Clone, Debug)]
pub struct SettingsStore {
    pool: PgPool,
}

impl SettingsStore {
    /// Over this database.
    pub fn new(pool: PgPool) -> Self {
        Self { pool }
    }

    /// The settings of one campaign; the defaults where operations have set none.
    ///
    /// # Errors
    /// Where Postgres cannot be asked.
    pub async fn of(&self, campaign: &CampaignId) -> Result<CampaignSettings, sqlx::Error> {
        Ok(self.of_each(&[campaign]).await?.remove(campaign.as_str()).unwrap_or_default())
    }

    /// The settings of those campaigns that have any, by their id.
    ///
    /// # Errors
    /// Where Postgres cannot be asked.
    pub async fn of_each(&self, campaigns: &[&CampaignId]) -> Result<HashMap<String, CampaignSettings>, sqlx::Error> {
        let ids: Vec<String> = campaigns.iter().map(ToString::to_string).collect();
        let rows =
            sqlx::query!("select campaign_id, settings from campaign_settings where campaign_id = any($1)", &ids)
                .fetch_all(&self.pool)
                .await?;
        rows.into_iter()
            .map(|row| {
                let settings =
                    serde_json::from_value(row.settings).map_err(|error| sqlx::Error::Decode(error.into()))?;
                Ok((row.campaign_id, settings))
            })
            .collect()
    }
}
