//! Copies of the placement rules of campaigns, for accepting callbacks. Placement itself reads them from Postgres.

use std::collections::HashMap;
use std::sync::Arc;

use super::settings::SettingsStore;
use crate::campaigns::model::PlacementRules;
use crate::db::{Cache, Db, Topic};
use crate::types::CampaignId;

/// The campaigns of which copies are kept. Clients can name any campaign.
const CAPACITY: usize = 4096;

/// The placement rules of campaigns, at most a second old.
#[derive(Clone)]
pub struct RulesCache {
    store: SettingsStore,
    copies: Arc<Cache<CampaignId, Arc<PlacementRules>>>,
}

impl RulesCache {
    /// Reads from this database.
    pub fn new(db: &Db) -> Self {
        let copies = Arc::new(Cache::new(Topic::PlacementRules, db.changes().clone(), CAPACITY));
        Self { store: SettingsStore::new(db.clone()), copies }
    }

    /// The rules of a campaign.
    ///
    /// # Errors
    /// If Postgres is unavailable and there is no current copy.
    pub async fn rules_of(&self, campaign: &CampaignId) -> Result<Arc<PlacementRules>, sqlx::Error> {
        if let Some(rules) = self.copies.get(campaign) {
            return Ok(rules);
        }
        Ok(self.rules_of_each([campaign]).await?.remove(campaign).unwrap_or_default())
    }

    /// The rules of each of the campaigns.
    ///
    /// # Errors
    /// If Postgres is unavailable and there is no current copy.
    pub async fn rules_of_each(
        &self,
        campaigns: impl IntoIterator<Item = &CampaignId>,
    ) -> Result<HashMap<CampaignId, Arc<PlacementRules>>, sqlx::Error> {
        let mut found = HashMap::new();
        let mut missing = Vec::new();
        for campaign in campaigns {
            if found.contains_key(campaign) || missing.contains(&campaign) {
                continue;
            }
            match self.copies.get(campaign) {
                Some(rules) => drop(found.insert(campaign.clone(), rules)),
                None => missing.push(campaign),
            }
        }
        if missing.is_empty() {
            return Ok(found);
        }
        let version = self.copies.version();
        let mut read = self.store.placement_rules_of_each(&missing).await?;
        for campaign in missing {
            let rules = Arc::new(read.remove(campaign.as_str()).unwrap_or_default());
            self.copies.insert(campaign.clone(), version, Arc::clone(&rules));
            found.insert(campaign.clone(), rules);
        }
        Ok(found)
    }
}
