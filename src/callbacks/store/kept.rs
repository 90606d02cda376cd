//! The places that the current plan of a campaign still keeps.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;

use super::CallbackStore;
use crate::placement::WindowHours;
use crate::types::CampaignId;

/// Places in an hour for requests whose windows overlap these hours.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct KeptPlaces {
    pub hour: Timestamp,
    pub window: WindowHours,
    pub places: f64,
}

impl CallbackStore {
    /// Those that no request has taken; none without a current plan.
    ///
    /// # Errors
    /// If Postgres is unavailable.
    pub async fn kept_places(&self, campaign: &CampaignId, now: Timestamp) -> Result<Vec<KeptPlaces>, sqlx::Error> {
        let kept = sqlx::query!(
            r#"select kept.hour, kept.first_hour, kept.hours, kept.places - kept.spent as "places!"
               from placement_places as kept join placement_plans as plan using (campaign_id)
               where campaign_id = $1 and plan.valid_until > $2 and kept.spent < kept.places"#,
            campaign.as_str(),
            now.to_sqlx() as _
        );
        let kept = kept.fetch_all(&self.pool).await?.into_iter().map(|row| KeptPlaces {
            hour: row.hour.to_jiff(),
            window: WindowHours { first: row.first_hour.to_jiff(), count: row.hours },
            places: row.places,
        });
        Ok(kept.collect())
    }
}
