//! How many requests came, by campaign, day and window.

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use jiff_sqlx::ToSqlx as _;

use super::CallbackStore;
use crate::placement::{Count, DayTotal, HISTORY_DAYS};
use crate::types::{CampaignId, TimeZone};

/// The time of callbacks that one statement counts.
const COUNTED_AT_ONCE: SignedDuration = SignedDuration::from_hours(24);

impl CallbackStore {
    /// Counts the callbacks of a campaign that were created from `from` on and before `until`, and deletes what is too old. Stops
    /// where another replica counts.
    ///
    /// # Errors
    /// If Postgres is unavailable.
    pub async fn count_demand(
        &self,
        campaign: &CampaignId,
        counted_until: Option<Timestamp>,
        until: Timestamp,
        zone: &TimeZone,
    ) -> Result<(), sqlx::Error> {
        let oldest = until - SignedDuration::from_hours(24 * i64::from(HISTORY_DAYS));
        let mut known = counted_until;
        let mut from = counted_until.unwrap_or(oldest).max(oldest);
        while from < until {
            let to = (from + COUNTED_AT_ONCE).min(until);
            if !self.count_between(campaign, known, from, to, zone).await? {
                break;
            }
            (known, from) = (Some(to), to);
        }
        let first = oldest.to_zoned(zone.tz().clone()).date().to_string();
        let old = sqlx::query!(
            "delete from callback_demand where campaign_id = $1 and day < $2::text::date",
            campaign.as_str(),
            first
        );
        old.execute(&self.pool).await.map(|_| ())
    }

    async fn count_between(
        &self,
        campaign: &CampaignId,
        counted_until: Option<Timestamp>,
        from: Timestamp,
        to: Timestamp,
        zone: &TimeZone,
    ) -> Result<bool, sqlx::Error> {
        let counted = sqlx::query!(
            r#"with moved as (
                 update placement_plans set counted_until = $4
                 where campaign_id = $1 and counted_until is not distinct from $2
                 returning campaign_id
             ),
             counted as (
                 insert into callback_demand (campaign_id, day, hour, hours, lead, requests)
                 select $1, first.local::date, extract(hour from first.local),
                     ceil(extract(epoch from c.requested_end - first.hour) / 3600),
                     greatest(0, least(25, ceil(extract(epoch from first.hour - c.created_at) / 3600))), count(*)
                 from callbacks as c
                 cross join lateral (select date_trunc('hour', c.requested_start, 'UTC') as hour) as starts
                 cross join lateral (select starts.hour, starts.hour at time zone $5 as local) as first
                 where c.campaign_id = $1 and c.created_at >= $3 and c.created_at < $4 and exists (select from moved)
                 group by 2, 3, 4, 5
                 on conflict (campaign_id, day, hour, hours, lead)
                     do update set requests = callback_demand.requests + excluded.requests
             )
             select true as "moved!" from moved"#,
            campaign.as_str(),
            counted_until.map(|at| at.to_sqlx()) as _,
            from.to_sqlx() as _,
            to.to_sqlx() as _,
            zone.name()
        );
        Ok(counted.fetch_optional(&self.pool).await?.is_some())
    }

    /// Forgets what was counted in another time zone.
    ///
    /// # Errors
    /// If Postgres is unavailable.
    pub async fn reset_demand(&self, campaign: &CampaignId, zone: &TimeZone) -> Result<(), sqlx::Error> {
        let reset = sqlx::query!(
            "with deleted as (delete from callback_demand where campaign_id = $1)
             update placement_plans set counted_until = null, time_zone = $2 where campaign_id = $1",
            campaign.as_str(),
            zone.name()
        );
        reset.execute(&self.pool).await.map(|_| ())
    }

    /// The requests for windows of each local day that has any, in order of time.
    ///
    /// # Errors
    /// If Postgres is unavailable.
    pub async fn demand_by_day(&self, campaign: &CampaignId) -> Result<Vec<DayTotal>, sqlx::Error> {
        let rows = sqlx::query!(
            r#"select day::text as "day!", sum(requests) as "requests!" from callback_demand
               where campaign_id = $1 group by day order by callback_demand.day"#,
            campaign.as_str()
        );
        let rows = rows.fetch_all(&self.pool).await?;
        let totals = rows.into_iter().map(|row| {
            let day: Date =
                row.day.parse().map_err(|_| sqlx::Error::Decode("callback_demand.day is not a date".into()))?;
            Ok(DayTotal { day, requests: u32::try_from(row.requests).unwrap_or(u32::MAX) })
        });
        totals.collect()
    }

    /// The requests of an average day, where each of these days counts by its weight.
    ///
    /// # Errors
    /// If Postgres is unavailable.
    pub async fn average_demand(&self, campaign: &CampaignId, days: &[(Date, f64)]) -> Result<Vec<Count>, sqlx::Error> {
        let (days, weights): (Vec<String>, Vec<f64>) =
            days.iter().map(|(day, weight)| (day.to_string(), *weight)).unzip();
        let rows = sqlx::query!(
            r#"select hour, hours, lead, sum(requests * weight) as "requests!"
               from unnest($2::text[], $3::float8[]) as days(day, weight)
               join callback_demand as d on d.campaign_id = $1 and d.day = days.day::date
               group by hour, hours, lead order by hour, hours, lead"#,
            campaign.as_str(),
            &days,
            &weights
        );
        let index = |number: i16| usize::try_from(number).unwrap_or_default();
        let rows = rows.fetch_all(&self.pool).await?;
        let counts = rows.into_iter().map(|row| Count {
            hour: index(row.hour),
            hours: index(row.hours),
            lead: index(row.lead),
            requests: row.requests,
        });
        Ok(counts.collect())
    }
}
