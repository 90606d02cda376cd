//! The periods in which holds keep campaigns from calling, for marking callbacks that are at risk.

use std::collections::HashSet;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use jiff_sqlx::ToSqlx as _;
use serde::Serialize;

use super::campaigns::{CampaignStore, decode};
use crate::campaigns::model::CampaignSettings;
use crate::campaigns::model::{Hold, Trigger};

/// The interval at which the callbacks of a campaign are compared with its holds while it has any.
const COMPARE_INTERVAL: Duration = Duration::from_secs(2);
/// How long before its time a callback is moved out of a hold that may be lifted at any time.
const CLEAR_AHEAD: SignedDuration = SignedDuration::from_mins(15);
/// The campaigns of one claim.
const CLAIM_SIZE: i64 = 100;

/// A period in which a hold keeps a campaign from calling. It includes its start, and not its end.
#[derive(Clone, Debug, Serialize)]
pub struct HeldPeriod {
    pub campaign_id: String,
    pub from: Timestamp,
    /// `None` for an open-ended hold.
    pub until: Option<Timestamp>,
}

/// Campaigns whose callbacks are to be compared with their holds.
#[derive(Debug)]
pub struct RiskClaim {
    pub campaigns: Vec<String>,
    /// When they are due again, unless their holds change before.
    due_at: Timestamp,
}

/// The holds of the campaigns of a claim.
#[derive(Debug)]
pub struct HeldPeriods {
    pub periods: Vec<HeldPeriod>,
    /// The periods in which CXone must have no contacts: the whole of a compliance hold and of a closed regulatory window, and
    /// the next 15 minutes of any other hold, which may be lifted at any time.
    pub to_clear: Vec<HeldPeriod>,
    /// The campaigns that have a hold that is not lifted, in force or not.
    with_holds: HashSet<String>,
}

impl CampaignStore {
    /// Claims campaigns whose callbacks are due to be compared with their holds. A comparison that is not completed is due
    /// again after the interval.
    ///
    /// # Errors
    /// If Postgres fails.
    pub async fn claim_risk(&self) -> Result<Option<RiskClaim>, sqlx::Error> {
        let rows = sqlx::query!(
            r#"update campaigns set risk_due_at = now() + $1::bigint * interval '1 second'
               where campaign_id in (
                   select campaign_id from campaigns where risk_due_at <= now()
                   order by risk_due_at limit $2 for update skip locked
               )
               returning campaign_id, risk_due_at as "risk_due_at!""#,
            i64::try_from(COMPARE_INTERVAL.as_secs()).unwrap_or(i64::MAX),
            CLAIM_SIZE
        )
        .fetch_all(&self.pool)
        .await?;
        let due_at = rows.first().map(|row| row.risk_due_at.to_jiff());
        let campaigns = rows.into_iter().map(|row| row.campaign_id).collect();
        Ok(due_at.map(|due_at| RiskClaim { campaigns, due_at }))
    }

    /// The periods in which the claimed campaigns are held. Read them after the claim: every change of the holds that they
    /// do not contain makes the campaign due again.
    ///
    /// # Errors
    /// If Postgres fails.
    pub async fn held_periods(&self, claimed: &RiskClaim, now: Timestamp) -> Result<HeldPeriods, sqlx::Error> {
        let rows = sqlx::query!(
            r#"select h.campaign_id, to_jsonb(h) as "hold!", s.settings as "settings?"
               from campaign_holds as h left join campaign_settings as s using (campaign_id)
               where h.campaign_id = any($1) and h.lifted_at is null"#,
            &claimed.campaigns
        )
        .fetch_all(&self.pool)
        .await?;
        let mut held = HeldPeriods { periods: Vec::new(), to_clear: Vec::new(), with_holds: HashSet::new() };
        for row in rows {
            let (hold, settings): (Hold, Option<CampaignSettings>) =
                (decode(row.hold)?, row.settings.map(decode).transpose()?);
            let window = settings.and_then(|settings| settings.regulatory_window);
            if hold.is_in_force(now, window.as_ref()) {
                let (from, until) = (hold.placed_at, hold.end(now, window.as_ref()));
                let is_certain = hold.compliance || hold.triggered_by == Trigger::RegulatoryWindow;
                let soon = now + CLEAR_AHEAD;
                let clear_until = if is_certain { until } else { Some(until.map_or(soon, |until| until.min(soon))) };
                held.to_clear.push(HeldPeriod { campaign_id: row.campaign_id.clone(), from, until: clear_until });
                held.periods.push(HeldPeriod { campaign_id: row.campaign_id.clone(), from, until });
            }
            held.with_holds.insert(row.campaign_id);
        }
        Ok(held)
    }

    /// Notes that the comparison is complete. Campaigns without holds are not due again until one is placed.
    ///
    /// # Errors
    /// If Postgres fails.
    pub async fn complete_risk_claim(&self, claimed: &RiskClaim, held: &HeldPeriods) -> Result<(), sqlx::Error> {
        let without_holds: Vec<String> =
            claimed.campaigns.iter().filter(|id| !held.with_holds.contains(*id)).cloned().collect();
        sqlx::query!(
            "update campaigns set risk_due_at = null where campaign_id = any($1) and risk_due_at = $2",
            &without_holds,
            claimed.due_at.to_sqlx() as _
        )
        .execute(&self.pool)
        .await
        .map(drop)
    }
}
