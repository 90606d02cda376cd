//! Business hours, as they are sent.

use jiff::civil::{Time, Weekday};
use serde::Deserialize;
use validator::{Validate, ValidationError};

use super::request_parts::{not_empty, time_of_day, time_zone};
use crate::campaigns::model::{BusinessHours, parse_weekday};
use crate::http::validation::{Element, JsonType, Member, Unknown};
use crate::types::{DailyWindow, TimeZone};

/// Business hours.
#[derive(Clone, Debug, Deserialize, Validate)]
pub struct BusinessHoursRequest {
    #[serde(default)]
    #[validate(required, custom(function = "time_zone"))]
    timezone: Member<String, TimeZone>,
    /// A few open times for each day of the week.
    #[serde(default)]
    #[validate(required, length(max = 50, message = "must have at most 50 open times"), nested)]
    days: Member<Vec<Element<OpenDayRequest>>>,
    #[serde(flatten)]
    #[validate(nested)]
    unknown: Unknown,
}

impl JsonType for BusinessHoursRequest {
    const NAME: &'static str = "an object";
}

impl BusinessHoursRequest {
    /// The business hours; `None` unless the request was validated.
    pub fn hours(&self) -> Option<BusinessHours> {
        let zone = self.timezone.parsed()?;
        let days = self.days.value()?.iter();
        let open = days.map(|day| day.value()?.open_time(zone)).collect::<Option<_>>()?;
        Some(BusinessHours { zone: zone.clone(), open })
    }
}

/// One open time of a day of the week.
#[derive(Clone, Debug, Deserialize, Validate)]
#[serde(rename_all = "camelCase")]
#[validate(schema(function = "ends_at_another_time", skip_on_field_errors = false))]
struct OpenDayRequest {
    #[serde(default)]
    #[validate(required, custom(function = "weekday"))]
    day: Member<String, Weekday>,
    #[serde(default)]
    #[validate(required, custom(function = "time_of_day"))]
    start_time: Member<String, Time>,
    #[serde(default)]
    #[validate(required, custom(function = "time_of_day"))]
    end_time: Member<String, Time>,
    #[serde(flatten)]
    #[validate(nested)]
    unknown: Unknown,
}

impl JsonType for OpenDayRequest {
    const NAME: &'static str = "an object";
}

impl OpenDayRequest {
    fn open_time(&self, zone: &TimeZone) -> Option<(Weekday, DailyWindow)> {
        let (start, end) = (*self.start_time.parsed()?, *self.end_time.parsed()?);
        Some((*self.day.parsed()?, DailyWindow::new(start, end, zone.clone()).ok()?))
    }
}

fn ends_at_another_time(day: &OpenDayRequest) -> Result<(), ValidationError> {
    not_empty(&day.start_time, &day.end_time)
}

fn weekday(member: &Member<String, Weekday>) -> Result<(), ValidationError> {
    member.parse(|text| parse_weekday(text))
}
