//! Days through the service's own placement, planner and Postgres.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use ringback::clock::Clock;
use ringback::cxone::{CxoneError, ForecastHour, RequestContext};
use ringback::db::Db;
use ringback::types::{CampaignId, Interval, TimeZone};
use ringback::{CallbackRepository as _, CallbackStore, ForecastSource, Planner};
use serde_json::json;
use sqlx::PgPool;
use uuid::Uuid;

use super::days::{Day, Request};
use super::rules::inputs;
use super::{Outcome, harness::Database};

/// The forecast of each campaign.
struct Forecasts(HashMap<CampaignId, Vec<ForecastHour>>);

impl ForecastSource for Forecasts {
    async fn forecast(
        &self,
        campaign: &CampaignId,
        span: Interval,
        _: RequestContext<'_>,
    ) -> Result<Vec<ForecastHour>, CxoneError> {
        let hours = self.0.get(campaign).into_iter().flatten();
        let hour = Duration::from_hours(1);
        Ok(hours.filter(|known| known.hour < span.end && known.hour + hour > span.start).copied().collect())
    }
}

/// What the service did.
pub struct Placed {
    /// By campaign, the callbacks placed in each hour.
    pub hours: Vec<Vec<u32>>,
    pub plans: u32,
    /// What a plan took on average, with all statements.
    pub plan_took: Duration,
    /// What a placement took on average.
    pub placement_took: Duration,
}

/// Places the callbacks of these campaigns in the order in which they come. The planner runs before each, as it does every
/// second.
pub async fn place(days: &[Day]) -> Outcome<Placed> {
    let database = Database::create().await;
    let campaigns = (0..days.len()).map(|index| CampaignId::parse(&format!("campaign-{index}")));
    let campaigns = campaigns.collect::<Result<Vec<_>, _>>().map_err(|fault| anyhow::anyhow!("{fault:?}"))?;
    let mut requests: Vec<(usize, Request)> = Vec::new();
    for (index, day) in days.iter().enumerate() {
        set_handle_time(&database.pool, &campaigns[index], day.handle_seconds).await?;
        insert(&database.pool, &campaigns[index], &day.history, true).await?;
        requests.extend(day.requests.iter().map(|request| (index, *request)));
    }
    requests.sort_by_key(|(_, request)| request.at);
    let now = Arc::new(AtomicI64::new(0));
    let time = Arc::clone(&now);
    let clock = Clock::manual(move || Timestamp::from_second(time.load(Ordering::Relaxed)).unwrap_or_default(), 1);
    let store = Arc::new(CallbackStore::new(Db::new(database.pool.clone())));
    let zone = TimeZone::parse("UTC").map_err(|fault| anyhow::anyhow!("{fault:?}"))?;
    let forecasts = campaigns.iter().cloned().zip(days.iter().map(|day| day.forecast.clone()));
    let planner = Planner::new(Arc::clone(&store), Forecasts(forecasts.collect()), zone, clock);
    let (mut plans, mut planning, mut placing) = (0, Duration::ZERO, Duration::ZERO);
    let mut hours: Vec<Vec<u32>> = days.iter().map(|day| vec![0; day.forecast.len()]).collect();
    for (index, request) in requests {
        now.store(request.at.as_second(), Ordering::Relaxed);
        let began = Instant::now();
        while planner.plan_due().await? {
            plans += 1;
        }
        planning += began.elapsed();
        let ids = insert(&database.pool, &campaigns[index], &[request], false).await?;
        let began = Instant::now();
        let chosen = place_one(&store, ids[0], &days[index], &request).await?;
        placing += began.elapsed();
        if let Some(hour) = days[index].forecast.iter().position(|hour| hour.hour == chosen) {
            hours[index][hour] += 1;
        }
    }
    drop(planner);
    database.drop().await;
    let placements: u32 = hours.iter().flatten().sum();
    Ok(Placed { hours, plans, plan_took: planning / plans.max(1), placement_took: placing / placements.max(1) })
}

/// Places a callback, and returns the hour.
async fn place_one(store: &CallbackStore, id: Uuid, day: &Day, request: &Request) -> Outcome<Timestamp> {
    let mut callback = store.find(id).await?.ok_or_else(|| anyhow::anyhow!("the callback is missing"))?;
    callback.updated_at = request.at;
    let inputs = inputs(day, request);
    let hours: Vec<_> = inputs.hours.iter().map(|hour| hour.hour).collect();
    let mut chosen = None;
    let has_claim = store.place(&mut callback, &hours, |plan, places| {
        let decision = inputs.with_places(plan, places).decide();
        chosen = decision.as_ref().map(|decision| decision.choice.hour);
        decision
    });
    anyhow::ensure!(has_claim.await?, "the claim of the callback is lost");
    chosen.ok_or_else(|| anyhow::anyhow!("no hour was possible"))
}

/// Sets the handle time of a campaign. The planner reads it there.
async fn set_handle_time(pool: &PgPool, campaign: &CampaignId, seconds: u16) -> Outcome {
    let settings = json!({ "averageHandleTimeSeconds": seconds });
    let set = sqlx::query(
        "insert into campaign_settings (campaign_id, settings, version, updated_at) values ($1, $2, 1, now())",
    );
    set.bind(campaign.as_str()).bind(settings).execute(pool).await?;
    Ok(())
}

/// Inserts callbacks, and returns their ids.
async fn insert(pool: &PgPool, campaign: &CampaignId, requests: &[Request], have_ended: bool) -> Outcome<Vec<Uuid>> {
    static NUMBERS: AtomicU32 = AtomicU32::new(1_000_000);
    let rows = requests.iter().map(|request| {
        let (start, end) = (request.window.start(), request.window.end());
        let number = NUMBERS.fetch_add(1, Ordering::Relaxed);
        json!({ "at": request.at, "start": start, "end": end, "number": number })
    });
    let ids = sqlx::query_scalar(
        r#"insert into callbacks (id, status, phone_number, campaign_id, requested_start, requested_end, language,
               confirmation, attempts, request_id, created_at, updated_at, due_at, failure_code, failure_detail)
           select gen_random_uuid(), case when $3 then 'expired' else 'accepted' end, '+1202' || number, $1, start, "end", 'en',
               'pending', 0, '', at, at, case when not $3 then at end, case when $3 then 'window-passed' end,
               case when $3 then 'of an earlier day' end
           from jsonb_to_recordset($2) as r(at timestamptz, start timestamptz, "end" timestamptz, number bigint)
           returning id"#,
    );
    let ids = ids.bind(campaign.as_str()).bind(json!(rows.collect::<Vec<_>>())).bind(have_ended);
    Ok(ids.fetch_all(pool).await?)
}
