//! The settings of campaigns in Postgres.

use std::collections::HashMap;

use futures::future::BoxFuture;
use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::audit::Entry;
use crate::campaigns::model::{CampaignSettings, Hold, PlacementRules};
use crate::cxone::{SkillMapping, SkillMappings};
use crate::db::{Db, Topic};
use crate::types::CampaignId;

/// The result of saving settings.
pub enum Saved {
    /// They are saved, with this version.
    As(i64),
    /// They have changed since they were read. Nothing is saved.
    Stale,
}

/// The table of settings.
#[derive(Clone, Debug)]
pub struct SettingsStore {
    pool: Db,
}

impl SettingsStore {
    /// The settings in this database.
    pub fn new(pool: Db) -> Self {
        Self { pool }
    }

    /// The skills of CXone that the settings of several campaigns name, with those campaigns. At most ten.
    ///
    /// # Errors
    /// If Postgres returns an error.
    pub async fn shared_skills(&self) -> Result<Vec<(i64, Vec<String>)>, sqlx::Error> {
        let rows = sqlx::query!(
            r#"with mappings as (
                   select campaign_id, settings -> 'nice' as nice from campaign_settings
                   where jsonb_typeof(settings -> 'nice') = 'object'
               ),
               named as (
                   select campaign_id, skill::bigint as skill from mappings, jsonb_array_elements_text(nice -> 'skillIds') as skill
                   union
                   select campaign_id, (nice ->> 'skillId')::bigint from mappings
                   where nice -> 'skillIds' = '[]' and nice ->> 'campaignId' is null
               )
               select skill as "skill!", array_agg(campaign_id order by campaign_id) as "campaigns!" from named
               group by skill having count(*) > 1 order by skill limit 10"#
        );
        Ok(rows.fetch_all(&self.pool).await?.into_iter().map(|row| (row.skill, row.campaigns)).collect())
    }

    /// The settings and holds that decide where a callback of the campaign is placed.
    ///
    /// # Errors
    /// If Postgres returns an error.
    pub async fn placement_rules(&self, campaign: &CampaignId) -> Result<PlacementRules, sqlx::Error> {
        Ok(self.placement_rules_of_each(&[campaign]).await?.remove(campaign.as_str()).unwrap_or_default())
    }

    /// The same for several campaigns, by id. Campaigns without settings and holds are left out.
    ///
    /// # Errors
    /// If Postgres returns an error.
    pub async fn placement_rules_of_each(
        &self,
        campaigns: &[&CampaignId],
    ) -> Result<HashMap<String, PlacementRules>, sqlx::Error> {
        let ids: Vec<String> = campaigns.iter().map(ToString::to_string).collect();
        let rows = sqlx::query!(
            r#"select named.campaign_id as "campaign_id!", s.settings as "settings?", left_over.holds as "holds?"
               from unnest($1::text[]) as named(campaign_id)
               left join campaign_settings as s using (campaign_id)
               cross join lateral (
                   select jsonb_agg(to_jsonb(h)) as holds from campaign_holds as h
                   where h.campaign_id = named.campaign_id and h.lifted_at is null
               ) as left_over
               where s.settings is not null or left_over.holds is not null"#,
            &ids
        )
        .fetch_all(&self.pool)
        .await?;
        let rules = rows.into_iter().map(|row| {
            let settings = row.settings.map(decode).transpose()?.unwrap_or_default();
            let holds: Vec<Hold> = row.holds.map(decode).transpose()?.unwrap_or_default();
            Ok((row.campaign_id, PlacementRules::new(settings, holds)))
        });
        rules.collect()
    }

    /// The settings of one campaign, and their version, which is 0 if none were ever set.
    ///
    /// # Errors
    /// If Postgres returns an error.
    pub async fn with_version(&self, campaign: &CampaignId) -> Result<(CampaignSettings, i64), sqlx::Error> {
        let row =
            sqlx::query!("select settings, version from campaign_settings where campaign_id = $1", campaign.as_str());
        match row.fetch_optional(&self.pool).await? {
            Some(row) => Ok((decode(row.settings)?, row.version)),
            None => Ok((CampaignSettings::default(), 0)),
        }
    }

    /// Saves the settings of a campaign with their audit entry. If a version is expected, only in its place.
    ///
    /// # Errors
    /// If Postgres returns an error.
    pub async fn save(
        &self,
        campaign: &CampaignId,
        settings: &CampaignSettings,
        expected: Option<i64>,
        now: Timestamp,
        entry: Entry,
    ) -> Result<Saved, sqlx::Error> {
        // A worker that has read the campaign before cannot save it, and decides again with the new settings.
        let saved = sqlx::query!(
            "with saved as (
                 insert into campaign_settings as kept (campaign_id, settings, version, updated_at)
                 select $1, $2, 1, $3
                 where $4::bigint is null or $4 = 0
                    or exists (select from campaign_settings where campaign_id = $1)
                 on conflict (campaign_id) do update
                     set settings = excluded.settings, version = kept.version + 1, updated_at = excluded.updated_at
                     where $4::bigint is null or kept.version = $4
                 returning campaign_id, version
             ),
             campaign as (
                 insert into campaigns as kept (campaign_id, due_at, created_at, updated_at)
                 select campaign_id, case when $6 then $3 end, $3, $3 from saved
                 on conflict (campaign_id) do update set revision = kept.revision + 1, updated_at = $3,
                     due_at = case when $6 or kept.due_at is not null then $3 end,
                     check_at = case when kept.check_at is not null then $3 end
             )
             select version, audit_record($5) as audit_id from saved",
            campaign.as_str(),
            json!(settings),
            now.to_sqlx() as _,
            expected,
            entry.into_json(),
            settings.enforce_regulatory_window
        )
        .fetch_optional(&self.pool)
        .await?;
        self.pool.changes().publish(Topic::PlacementRules);
        Ok(saved.map_or(Saved::Stale, |row| Saved::As(row.version)))
    }
}

impl SkillMappings for SettingsStore {
    fn skills_of<'a>(&'a self, id: &'a CampaignId) -> BoxFuture<'a, Result<Option<SkillMapping>, sqlx::Error>> {
        Box::pin(async { Ok(self.with_version(id).await?.0.nice) })
    }
}

fn decode<T: DeserializeOwned>(kept: serde_json::Value) -> Result<T, sqlx::Error> {
    serde_json::from_value(kept).map_err(|error| sqlx::Error::Decode(error.into()))
}
