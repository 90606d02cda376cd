//! `GET /api/v2/outbound/forecast`

use axum::Json;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use crate::simulator::fields::{only, pairs};
use crate::simulator::model::Simulator;
use crate::simulator::model::forecast::Forecast;
use crate::simulator::refusal::{Answer, Refusal};

const MAX_RANGE: SignedDuration = SignedDuration::from_hours(48);

pub(super) async fn read(State(simulator): State<Simulator>, RawQuery(query): RawQuery) -> Answer {
    let model = simulator.model();
    let query = pairs(&query.unwrap_or_default())?;
    let required = |name: &str| only(&query, name)?.ok_or_else(|| Refusal::bad_request(format!("{name} is missing")));
    let campaign = required("campaignId")?;
    let (start, end) = (required("startTime")?, required("endTime")?);
    if required("granularity")? != "hourly" {
        return Err(Refusal::bad_request("granularity must be hourly"));
    }
    let (start, end) = (instant("startTime", start)?, instant("endTime", end)?);
    if end <= start {
        return Err(Refusal::unprocessable("endTime must be after startTime"));
    }
    if end.duration_since(start) > MAX_RANGE {
        return Err(Refusal::unprocessable("a forecast covers at most 48 hours"));
    }
    if model.campaigns.lock().get(campaign).is_none() {
        return Err(Refusal::no_campaign(campaign));
    }
    let set = model.forecasts.lock().get(campaign).cloned();
    let hours = match set {
        Some(Forecast::Raw(raw)) => return Ok((StatusCode::OK, Json(raw))),
        Some(Forecast::Hours(hours)) => hours.into_iter().filter(|hour| hour.overlaps(start, end)).collect(),
        None => model.settings.forecast.hours(model.settings.seed, campaign, start, end),
    };
    Ok((StatusCode::OK, Json(json!({ "startTime": start, "endTime": end, "forecast": hours }))))
}

fn instant(name: &str, value: &str) -> Result<Timestamp, Refusal> {
    let malformed = |_| Refusal::unprocessable(format!("{name} must be an ISO 8601 instant, percent-encoded"));
    value.parse().map_err(malformed)
}
