//! `GET hours-of-operation`, and one profile of it.

use serde_json::{Value, json};

use super::answer::{Reply, invalid, list, ok, unknown};
use super::params::{Id, Params};

const PROFILE: u64 = 31;

/// All profiles; `isDeleted` is required.
pub(super) async fn profiles(params: Params) -> Reply {
    let is_deleted = params.flag("isDeleted")?.ok_or_else(|| invalid("isDeleted"))?;
    let profile = json!({ "hoursOfOperationProfileId": PROFILE, "hoursOfOperationProfileName": "Office" });
    list("hoursOfOperation", if is_deleted { Vec::new() } else { vec![profile] })
}

/// The days of one profile, in the business unit's time zone.
pub(super) async fn profile(Id(id): Id) -> Reply {
    if id != PROFILE {
        return Err(unknown("InvalidHoursOfOperationProfileId"));
    }
    let days = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
    let days: Vec<Value> = days.map(|day| self::day(day, day == "Sunday")).into();
    ok(json!({ "days": days, "holidays": [{ "name": "New Year", "date": "2027-01-01" }], "skills": [] }))
}

fn day(name: &str, is_closed: bool) -> Value {
    json!({
        "day": name, "openTime": "08:00:00", "closeTime": "20:00:00", "hasAdditionalHours": false,
        "additionalOpenTime": "", "additionalCloseTime": "", "isClosedAllDay": is_closed,
    })
}
