//! Members that several requests about campaigns have.

use jiff::civil::Time;
use serde::Deserialize;
use validator::{Validate, ValidationError};

use crate::campaigns::model::CarrierLimit;
use crate::http::validation::{JsonType, Member, Unknown, fault_at};
use crate::types::{DailyWindow, Fault, TimeZone, parse_time_of_day};

/// A regulatory window, as it is sent.
#[derive(Clone, Debug, Deserialize, Validate)]
#[serde(rename_all = "camelCase")]
#[validate(schema(function = "ends_at_another_time", skip_on_field_errors = false))]
pub struct RegulatoryWindowRequest {
    #[serde(default)]
    #[validate(required, custom(function = "time_of_day"))]
    start_time: Member<String, Time>,
    #[serde(default)]
    #[validate(required, custom(function = "time_of_day"))]
    end_time: Member<String, Time>,
    #[serde(default)]
    #[validate(required, custom(function = "time_zone"))]
    timezone: Member<String, TimeZone>,
    #[serde(flatten)]
    #[validate(nested)]
    unknown: Unknown,
}

impl JsonType for RegulatoryWindowRequest {
    const NAME: &'static str = "an object";
}

impl RegulatoryWindowRequest {
    /// The window; `None` unless the request was validated.
    pub fn window(&self) -> Option<DailyWindow> {
        let (start, end) = (*self.start_time.parsed()?, *self.end_time.parsed()?);
        DailyWindow::new(start, end, self.timezone.parsed()?.clone()).ok()
    }
}

fn ends_at_another_time(request: &RegulatoryWindowRequest) -> Result<(), ValidationError> {
    not_empty(&request.start_time, &request.end_time)
}

/// The limits of the carrier, as they are sent.
#[derive(Clone, Debug, Deserialize, Validate)]
#[serde(rename_all = "camelCase")]
pub struct CarrierLimitRequest {
    #[serde(default)]
    #[validate(required, range(min = 1))]
    max_concurrent_calls: Member<u32>,
    #[serde(default)]
    #[validate(required, range(min = 1))]
    max_agents: Member<u32>,
    #[serde(flatten)]
    #[validate(nested)]
    unknown: Unknown,
}

impl JsonType for CarrierLimitRequest {
    const NAME: &'static str = "an object";
}

impl CarrierLimitRequest {
    /// The limits; `None` unless the request was validated.
    pub fn limit(&self) -> Option<CarrierLimit> {
        let (calls, agents) = (*self.max_concurrent_calls.value()?, *self.max_agents.value()?);
        Some(CarrierLimit { max_concurrent_calls: calls, max_agents: agents })
            .filter(|limit| limit.max_concurrent_calls > 0 && limit.max_agents > 0)
    }
}

/// The rule of `maxAgents`: no more agents than the carrier's limit.
pub fn within_carrier_limit(max_agents: Option<u32>, limit: Option<CarrierLimit>) -> Result<(), ValidationError> {
    match limit {
        Some(limit) if max_agents.is_some_and(|agents| agents > limit.max_agents) => {
            let detail = format!("must be at most carrierLimit.maxAgents, {}", limit.max_agents);
            Err(fault_at("maxAgents", Fault::new("over-carrier-limit", detail)))
        }
        _ => Ok(()),
    }
}

/// The rule of two times of day: a window that ends when it starts could mean all day or never.
pub fn not_empty(start: &Member<String, Time>, end: &Member<String, Time>) -> Result<(), ValidationError> {
    match (start.parsed(), end.parsed()) {
        (Some(start), Some(end)) => DailyWindow::check(*start, *end).map_err(|fault| fault_at("endTime", fault)),
        _ => Ok(()),
    }
}

/// The rule of a time of day.
pub fn time_of_day(member: &Member<String, Time>) -> Result<(), ValidationError> {
    member.parse(|text| parse_time_of_day(text))
}

/// The rule of a time zone.
pub fn time_zone(member: &Member<String, TimeZone>) -> Result<(), ValidationError> {
    member.parse(|text| TimeZone::parse(text))
}
