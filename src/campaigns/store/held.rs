//! For which times campaigns are held, and which of them have changed in that.

use std::collections::HashSet;
use std::time::Duration;

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use serde::Serialize;

use super::{CampaignStore, decode};
use crate::campaigns::model::{CampaignSettings, Hold};

/// While a hold is left, the callbacks of its campaign are looked at so often.
const LOOK_AGAIN: Duration = Duration::from_secs(2);
/// Campaigns that are looked at together.
const AT_ONCE: i64 = 100;

/// A time for which a hold keeps a campaign from calling. The start is in it, the end is not.
#[derive(Clone, Debug, Serialize)]
pub struct HeldTime {
    pub campaign_id: String,
    pub from: Timestamp,
    /// None where the hold has no end.
    pub until: Option<Timestamp>,
}

/// Campaigns whose callbacks are to be compared with their holds.
#[derive(Debug)]
pub struct Claimed {
    pub campaigns: Vec<String>,
    /// When they are due again, unless their holds change before.
    due_at: Timestamp,
}

/// What keeps the campaigns of a claim from calling.
#[derive(Debug)]
pub struct Held {
    pub times: Vec<HeldTime>,
    /// Those that have a hold that is not lifted, in force or not.
    left: HashSet<String>,
}

impl CampaignStore {
    /// Takes campaigns whose callbacks are due to be compared with their holds. Where the comparison is not finished, it
    /// is due again soon.
    ///
    /// # Errors
    /// Where Postgres refuses.
    pub async fn claim_risk(&self) -> Result<Option<Claimed>, sqlx::Error> {
        let rows = sqlx::query!(
            r#"update campaigns set risk_due_at = now() + $1::bigint * interval '1 second'
               where campaign_id in (
                   select campaign_id from campaigns where risk_due_at <= now()
                   order by risk_due_at limit $2 for update skip locked
               )
               returning campaign_id, risk_due_at as "risk_due_at!""#,
            i64::try_from(LOOK_AGAIN.as_secs()).unwrap_or(i64::MAX),
            AT_ONCE
        )
        .fetch_all(&self.pool)
        .await?;
        let due_at = rows.first().map(|row| row.risk_due_at.to_jiff());
        let campaigns = rows.into_iter().map(|row| row.campaign_id).collect();
        Ok(due_at.map(|due_at| Claimed { campaigns, due_at }))
    }

    /// For which times the claimed campaigns are held. To be read after the claim: every change of the holds that this does
    /// not see makes the campaign due again.
    ///
    /// # Errors
    /// Where Postgres cannot be asked.
    pub async fn held(&self, claimed: &Claimed, now: Timestamp) -> Result<Held, sqlx::Error> {
        let rows = sqlx::query!(
            r#"select h.campaign_id, to_jsonb(h) as "hold!", s.settings as "settings?"
               from campaign_holds as h left join campaign_settings as s using (campaign_id)
               where h.campaign_id = any($1) and h.lifted_at is null"#,
            &claimed.campaigns
        )
        .fetch_all(&self.pool)
        .await?;
        let mut held = Held { times: Vec::new(), left: HashSet::new() };
        for row in rows {
            let (hold, settings): (Hold, Option<CampaignSettings>) =
                (decode(row.hold)?, row.settings.map(decode).transpose()?);
            let window = settings.and_then(|settings| settings.regulatory_window);
            if hold.is_in_force(now, window.as_ref()) {
                let (from, until) = (hold.placed_at, hold.end(now, window.as_ref()));
                held.times.push(HeldTime { campaign_id: row.campaign_id.clone(), from, until });
            }
            held.left.insert(row.campaign_id);
        }
        Ok(held)
    }

    /// The callbacks of the claimed campaigns are as their holds say: those without a hold need no look until one is placed.
    ///
    /// # Errors
    /// Where Postgres refuses.
    pub async fn risk_settled(&self, claimed: &Claimed, held: &Held) -> Result<(), sqlx::Error> {
        let free: Vec<String> = claimed.campaigns.iter().filter(|id| !held.left.contains(*id)).cloned().collect();
        sqlx::query!(
            "update campaigns set risk_due_at = null where campaign_id = any($1) and risk_due_at = $2",
            &free,
            claimed.due_at.to_sqlx() as _
        )
        .execute(&self.pool)
        .await
        .map(drop)
    }
}
