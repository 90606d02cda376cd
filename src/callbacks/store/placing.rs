//! The placement of a callback, with the plan of its campaign.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use serde_json::json;
use uuid::Uuid;

use super::CallbackStore;
use super::changes::save_change;
use super::progress::save;
use crate::callbacks::model::Callback;
use crate::db::Transaction;
use crate::placement::{Decision, HourPlaces, PlanVersion, WindowHours};
use crate::types::CampaignId;

/// A plan is made again after this many placements, and five minutes after the last time if there was one.
const PLACEMENTS_PER_PLAN: i32 = 100;

/// A placement that was made.
#[derive(Debug)]
pub struct Placed {
    pub decided_at: Timestamp,
    pub decision: Decision,
}

impl CallbackStore {
    /// Places a callback. Placements in one campaign run one after the other, in all replicas. So no two of them spend the same
    /// planned place.
    pub(super) async fn place_in_turn(
        &self,
        callback: &mut Callback,
        hours: &[Timestamp],
        choose: impl FnOnce(Option<PlanVersion>, &[HourPlaces]) -> Option<Decision> + Send,
    ) -> Result<bool, sqlx::Error> {
        let _placing = self.placing.lock().await;
        let mut transaction = self.pool.begin_planned().await?;
        lock(&mut transaction, &callback.campaign_id).await?;
        let window = WindowHours::of(&callback.window_to_place());
        let (plan, places) = known_places(&mut transaction, callback, window, hours).await?;
        let Some(decision) = choose(plan, &places) else { return Ok(true) };
        callback.place(decision.choice.dispatch_time);
        let has_claim = if callback.change.is_some() {
            save_change(&mut transaction, callback, None).await?
        } else {
            save(&mut transaction, callback, None).await?
        };
        if !has_claim {
            transaction.rollback().await?;
            return Ok(false);
        }
        record(&mut transaction, callback, window, &decision).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// The last placement of a callback.
    ///
    /// # Errors
    /// If Postgres is unavailable.
    pub async fn placement(&self, id: Uuid) -> Result<Option<Placed>, sqlx::Error> {
        let found = sqlx::query!("select decided_at, decision from callback_placements where callback_id = $1", id);
        let Some(row) = found.fetch_optional(&self.pool).await? else { return Ok(None) };
        let decision = serde_json::from_value(row.decision).map_err(|error| sqlx::Error::Decode(error.into()))?;
        Ok(Some(Placed { decided_at: row.decided_at.to_jiff(), decision }))
    }
}

/// Waits until no other placement runs in the campaign.
pub(super) async fn lock(transaction: &mut Transaction, campaign: &CampaignId) -> Result<(), sqlx::Error> {
    let lock = sqlx::query!("select pg_advisory_xact_lock(hashtextextended('dispatch ' || $1, 0))", campaign.as_str());
    lock.execute(transaction).await.map(|_| ())
}

/// The current plan of the campaign, and what is placed and planned in each of the hours.
async fn known_places(
    transaction: &mut Transaction,
    callback: &Callback,
    window: WindowHours,
    hours: &[Timestamp],
) -> Result<(Option<PlanVersion>, Vec<HourPlaces>), sqlx::Error> {
    let rows = sqlx::query!(
        r#"select placed.count as "placed!", plan.version as "version?", plan.planned_at as "planned_at?",
               coalesce(kept.planned, 0) as "planned!", coalesce(kept.own, 0) as "own!"
           from jsonb_array_elements_text($3) with ordinality as listed(text, place)
           cross join lateral (select listed.text::timestamptz as hour) as hours
           cross join lateral (
               select count(*) from callbacks
               where campaign_id = $1 and id <> $2 and status in ('accepted', 'scheduled')
                 and dispatch_time >= hours.hour and dispatch_time < hours.hour + interval '1 hour'
           ) as placed
           left join placement_plans as plan on plan.campaign_id = $1 and plan.valid_until > $6
           left join lateral (
               select sum(places - spent) as planned,
                   sum(places - spent) filter (where first_hour = $4 and places.hours = $5) as own
               from placement_places as places
               where places.campaign_id = plan.campaign_id and places.hour = hours.hour
           ) as kept on true
           order by listed.place"#,
        callback.campaign_id.as_str(),
        callback.id,
        json!(hours),
        window.first.to_sqlx() as _,
        window.count,
        callback.updated_at.to_sqlx() as _
    )
    .fetch_all(transaction)
    .await?;
    let plan =
        rows.first().and_then(|row| Some(PlanVersion { version: row.version?, planned_at: row.planned_at?.to_jiff() }));
    let places = rows.into_iter().map(|row| HourPlaces {
        placed: u32::try_from(row.placed).unwrap_or(u32::MAX),
        planned: row.planned,
        own: row.own,
    });
    Ok((plan, places.collect()))
}

/// Stores the decision, spends the place that it takes, and makes the plan due.
async fn record(
    transaction: &mut Transaction,
    callback: &Callback,
    window: WindowHours,
    decision: &Decision,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "with decided as (
             insert into callback_placements (callback_id, decided_at, decision) values ($2, $3, $4)
             on conflict (callback_id) do update set decided_at = excluded.decided_at, decision = excluded.decision
         ),
         spent as (
             update placement_places set spent = least(places, spent + 1)
             where campaign_id = $1 and hour = $5 and first_hour = $6 and hours = $7 and spent < places and $8
         )
         insert into placement_plans as plan (campaign_id, due_at, placements, last_placed_at) values ($1, $3, 1, $3)
         on conflict (campaign_id) do update set placements = plan.placements + 1, last_placed_at = $3,
             due_at = case when plan.placements + 1 >= $9 then $3
                 else least(plan.due_at, greatest($3, plan.claimed_at + interval '5 minutes')) end",
        callback.campaign_id.as_str(),
        callback.id,
        callback.updated_at.to_sqlx() as _,
        json!(decision),
        decision.choice.hour.to_sqlx() as _,
        window.first.to_sqlx() as _,
        window.count,
        decision.inputs.plan.is_some(),
        PLACEMENTS_PER_PLAN
    )
    .execute(transaction)
    .await?;
    Ok(())
}
