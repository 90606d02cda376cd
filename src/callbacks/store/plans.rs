//! The plans of campaigns.

use jiff::{SignedDuration, Timestamp};
use jiff_sqlx::ToSqlx as _;
use serde_json::json;

use super::CallbackStore;
use super::placing::lock;
use crate::placement::PlannedPlaces;
use crate::types::CampaignId;

/// A campaign without placements for this long is not planned any more, until the next one.
const IDLE_AFTER: SignedDuration = SignedDuration::from_hours(24);

/// A plan that is to be made. This replica has it until the end of the lease.
#[derive(Debug)]
pub struct DuePlan {
    pub campaign_id: CampaignId,
    pub version: i64,
    pub counted_until: Option<Timestamp>,
    pub time_zone: Option<String>,
}

/// A plan that was made.
#[derive(Debug)]
pub struct NewPlan<'a> {
    pub places: &'a [PlannedPlaces],
    /// The version of its forecast.
    pub forecast: &'a str,
    pub planned_at: Timestamp,
    pub valid_until: Timestamp,
}

impl CallbackStore {
    /// Claims the plan that has been due for longest.
    ///
    /// # Errors
    /// If Postgres is unavailable.
    pub async fn claim_plan(&self, now: Timestamp, lease_end: Timestamp) -> Result<Option<DuePlan>, sqlx::Error> {
        let claimed = sqlx::query!(
            "update placement_plans set due_at = $2, claimed_at = $1, placements = 0
             where campaign_id = (
                 select campaign_id from placement_plans where due_at <= $1 order by due_at limit 1
                 for update skip locked
             )
             returning campaign_id, version, counted_until, time_zone",
            now.to_sqlx() as _,
            lease_end.to_sqlx() as _
        );
        let claimed = claimed.fetch_optional(&self.pool).await?;
        claimed
            .map(|row| {
                let campaign_id = CampaignId::parse(&row.campaign_id);
                Ok(DuePlan {
                    campaign_id: campaign_id.map_err(|_| sqlx::Error::Decode("placement_plans.campaign_id".into()))?,
                    version: row.version,
                    counted_until: row.counted_until.map(jiff_sqlx::Timestamp::to_jiff),
                    time_zone: row.time_zone,
                })
            })
            .transpose()
    }

    /// How many open callbacks of a campaign are placed in the hour that begins at each of these instants.
    ///
    /// # Errors
    /// If Postgres is unavailable.
    pub async fn placed_in(&self, campaign: &CampaignId, hours: &[Timestamp]) -> Result<Vec<u32>, sqlx::Error> {
        let counts = sqlx::query_scalar!(
            r#"select (
                   select count(*) from callbacks
                   where campaign_id = $1 and status in ('accepted', 'scheduled')
                     and dispatch_time >= listed.text::timestamptz
                     and dispatch_time < listed.text::timestamptz + interval '1 hour'
               ) as "placed!"
               from jsonb_array_elements_text($2) with ordinality as listed(text, place)
               order by listed.place"#,
            campaign.as_str(),
            json!(hours)
        );
        let counts = counts.fetch_all(&self.pool).await?;
        Ok(counts.into_iter().map(|count| u32::try_from(count).unwrap_or(u32::MAX)).collect())
    }

    /// Replaces the plan, unless another replica has made a newer one.
    ///
    /// # Errors
    /// If Postgres is unavailable.
    pub async fn replace_plan(&self, due: &DuePlan, plan: &NewPlan<'_>) -> Result<(), sqlx::Error> {
        let places: Vec<_> = plan.places.iter().map(as_json).collect();
        let mut transaction = self.pool.begin_planned().await?;
        lock(&mut transaction, &due.campaign_id).await?;
        let replaced = sqlx::query!(
            "update placement_plans set version = version + 1, planned_at = $3, valid_until = $4, forecast = $5
             where campaign_id = $1 and version = $2",
            due.campaign_id.as_str(),
            due.version,
            plan.planned_at.to_sqlx() as _,
            plan.valid_until.to_sqlx() as _,
            plan.forecast
        );
        if replaced.execute(&mut transaction).await?.rows_affected() == 0 {
            return transaction.rollback().await;
        }
        sqlx::query!("delete from placement_places where campaign_id = $1", due.campaign_id.as_str())
            .execute(&mut transaction)
            .await?;
        // Where the clock changes, two local hours begin at the same time.
        sqlx::query!(
            "insert into placement_places (campaign_id, hour, first_hour, hours, places)
             select $1, hour, first_hour, hours, sum(places)
             from jsonb_to_recordset($2)
                 as p(hour timestamptz, first_hour timestamptz, hours smallint, places double precision)
             group by hour, first_hour, hours",
            due.campaign_id.as_str(),
            json!(places)
        )
        .execute(&mut transaction)
        .await?;
        transaction.commit().await
    }

    /// Makes the plan due again at this time, or earlier if a placement asked for it meanwhile; never, while the campaign has no
    /// placements.
    ///
    /// # Errors
    /// If Postgres is unavailable.
    pub async fn plan_again(&self, due: &DuePlan, lease_end: Timestamp, at: Timestamp) -> Result<(), sqlx::Error> {
        sqlx::query!(
            "update placement_plans set due_at = case
                 when last_placed_at < $4 then null
                 when due_at < $2 then due_at
                 when placements > 0 then least($3, claimed_at + interval '5 minutes')
                 else $3
             end
             where campaign_id = $1",
            due.campaign_id.as_str(),
            lease_end.to_sqlx() as _,
            at.to_sqlx() as _,
            (at - IDLE_AFTER).to_sqlx() as _
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }
}

fn as_json(place: &PlannedPlaces) -> serde_json::Value {
    let PlannedPlaces { first_hour, hours, hour, places } = place;
    json!({ "first_hour": first_hour, "hours": hours, "hour": hour, "places": places })
}
