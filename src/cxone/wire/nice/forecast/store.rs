//! The forecast in Postgres.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use jiff_sqlx::ToSqlx as _;
use sqlx::{PgConnection, PgPool};

use super::model::Quarter;
use super::week::{Expected, Week};

/// How old a forecast may be that is used.
const USABLE_FOR: SignedDuration = SignedDuration::from_hours(8 * 24);
/// The quarters that one statement inserts: all of them would take too long.
const ROWS: usize = 10_000;

/// The tables of the forecast.
pub struct ForecastStore {
    pool: PgPool,
}

/// What is known about the forecast without its quarters.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct State {
    due_at: Option<Timestamp>,
    /// When it was made, and in which zone.
    made: Option<(Timestamp, TimeZone)>,
}

impl State {
    pub fn is_due(&self, now: Timestamp) -> bool {
        self.due_at.is_none_or(|due_at| due_at <= now)
    }

    /// The zone of the quarters, while they may be used.
    pub fn zone(&self, now: Timestamp) -> Option<&TimeZone> {
        let (_, zone) = self.made.as_ref().filter(|(made_at, _)| now < *made_at + USABLE_FOR)?;
        Some(zone)
    }
}

impl ForecastStore {
    pub fn new(pool: PgPool) -> Self {
        Self { pool }
    }

    pub async fn state(&self) -> Result<State, sqlx::Error> {
        let row = sqlx::query!("select due_at, refreshed_at, time_zone from cxone_forecast");
        let Some(row) = row.fetch_optional(&self.pool).await? else { return Ok(State::default()) };
        let zone = row.time_zone.and_then(|name| TimeZone::get(&name).ok());
        let made = row.refreshed_at.map(|at| at.to_jiff()).zip(zone);
        Ok(State { due_at: Some(row.due_at.to_jiff()), made })
    }

    /// Whether the forecast is due and the caller is to refresh it. No other is until `next`.
    pub async fn claim(&self, now: Timestamp, next: Timestamp) -> Result<bool, sqlx::Error> {
        let claimed = sqlx::query!(
            "insert into cxone_forecast (due_at) values ($2)
             on conflict (only_one) do update set due_at = $2 where cxone_forecast.due_at <= $1",
            now.to_sqlx() as _,
            next.to_sqlx() as _
        );
        Ok(claimed.execute(&self.pool).await?.rows_affected() > 0)
    }

    /// Replaces the forecast by one that was made now. The next is due at `next`.
    pub async fn replace(
        &self,
        quarters: &[Quarter],
        zone: &TimeZone,
        now: Timestamp,
        next: Timestamp,
    ) -> Result<(), sqlx::Error> {
        let mut transaction = self.pool.begin().await?;
        sqlx::query!(
            "insert into cxone_forecast (due_at, refreshed_at, time_zone) values ($1, $2, $3)
             on conflict (only_one) do update set due_at = $1, refreshed_at = $2, time_zone = $3",
            next.to_sqlx() as _,
            now.to_sqlx() as _,
            zone.iana_name().unwrap_or("UTC")
        )
        .execute(&mut *transaction)
        .await?;
        sqlx::query!("delete from cxone_forecast_quarters").execute(&mut *transaction).await?;
        for quarters in quarters.chunks(ROWS) {
            insert(&mut transaction, quarters).await?;
        }
        transaction.commit().await
    }

    /// The quarters of a skill. Empty where there is no forecast for it.
    pub async fn week(&self, skill: i64) -> Result<Week, sqlx::Error> {
        let rows = sqlx::query!(
            "select weekday, quarter, expected_contacts, agents from cxone_forecast_quarters where skill_id = $1",
            skill
        )
        .fetch_all(&self.pool)
        .await?;
        let quarters = rows
            .into_iter()
            .map(|row| ((row.weekday, row.quarter), Expected { contacts: row.expected_contacts, agents: row.agents }));
        Ok(Week(quarters.collect()))
    }
}

async fn insert(connection: &mut PgConnection, quarters: &[Quarter]) -> Result<(), sqlx::Error> {
    let column = |value: fn(&Quarter) -> f64| quarters.iter().map(value).collect::<Vec<_>>();
    let skills: Vec<i64> = quarters.iter().map(|quarter| quarter.skill_id).collect();
    let weekdays: Vec<i16> = quarters.iter().map(|quarter| quarter.weekday).collect();
    let numbers: Vec<i16> = quarters.iter().map(|quarter| quarter.quarter).collect();
    let inserted = sqlx::query!(
        "insert into cxone_forecast_quarters (skill_id, weekday, quarter, expected_contacts, handle_seconds, agents)
         select * from unnest($1::bigint[], $2::smallint[], $3::smallint[], $4::float8[], $5::float8[], $6::float8[])",
        &skills,
        &weekdays,
        &numbers,
        &column(|quarter| quarter.expected_contacts),
        &column(|quarter| quarter.handle_seconds),
        &column(|quarter| quarter.agents)
    );
    inserted.execute(connection).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: SignedDuration = SignedDuration::from_hours(1);

    fn now() -> Timestamp {
        "2026-11-20T15:00:00Z".parse().unwrap()
    }

    fn quarter(skill_id: i64, quarter: i16) -> Quarter {
        Quarter { skill_id, weekday: 5, quarter, expected_contacts: 2.5, handle_seconds: 300.0, agents: 3.0 }
    }

    #[sqlx::test]
    async fn of_many_replicas_one_refreshes_until_the_forecast_is_due_again(pool: PgPool) {
        let store = ForecastStore::new(pool);
        assert!(store.state().await.unwrap().is_due(now()));
        for (at, winners) in [(now(), 1), (now() + HOUR / 2, 0), (now() + HOUR, 1)] {
            let claims = futures::future::join_all((0..8).map(|_| store.claim(at, at + HOUR))).await;
            assert_eq!(claims.into_iter().filter(|claim| *claim.as_ref().unwrap()).count(), winners, "{at}");
        }
        let state = store.state().await.unwrap();
        assert!(!state.is_due(now() + HOUR) && state.is_due(now() + HOUR * 2) && state.zone(now()).is_none());
    }

    #[sqlx::test]
    async fn a_forecast_replaces_the_one_before_and_is_used_for_eight_days(pool: PgPool) {
        let store = ForecastStore::new(pool);
        let zone = TimeZone::get("America/New_York").unwrap();
        let many: Vec<Quarter> =
            (1..=200).flat_map(|skill| (0..96).map(move |number| quarter(skill, number))).collect();
        store.replace(&many, &TimeZone::UTC, now(), now() + HOUR).await.unwrap();
        assert_eq!(store.week(200).await.unwrap().0.len(), 96);

        store.replace(&[quarter(7, 40)], &zone, now(), now() + HOUR).await.unwrap();
        let week = store.week(7).await.unwrap();
        assert_eq!(week.0.into_iter().collect::<Vec<_>>(), [((5, 40), Expected { contacts: 2.5, agents: 3.0 })]);
        assert_eq!(store.week(200).await.unwrap(), Week::default());

        let state = store.state().await.unwrap();
        assert!(!state.is_due(now()) && state.is_due(now() + HOUR));
        assert_eq!(state.zone(now() + USABLE_FOR - HOUR), Some(&zone));
        assert_eq!(state.zone(now() + USABLE_FOR), None);
    }
}
