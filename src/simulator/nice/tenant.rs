//! The business unit, its time zones and its clock.

use axum::extract::State;
use serde_json::{Value, json};

use super::answer::{Reply, list, ok};
use crate::simulator::clock::now;
use crate::simulator::model::Simulator;
use crate::simulator::model::nice::zones::{ZONES, offset, zone};

pub(super) const TENANT_ID: &str = "11eb0a2b-6c3d-4e5f-8a9b-0242ac110002";
pub(super) const BUSINESS_UNIT: u64 = 4_595_001;
pub(super) const AREA: &str = "na1";

/// `GET business-unit`
pub(super) async fn business_unit(State(simulator): State<Simulator>) -> Reply {
    let time_zone = simulator.model().nice().behaviour.time_zone.clone();
    ok(json!({ "businessUnits": [{
        "businessUnitId": BUSINESS_UNIT,
        "businessUnitName": "Simulator",
        "defaultTimeZone": time_zone,
        "outboundPortLimit": 100,
        "apiPublishedLimit": 10_000,
    }] }))
}

/// `GET timezones`
pub(super) async fn time_zones() -> Reply {
    let at = now();
    let shown = |name: &str| -> Option<Value> {
        let offset = offset(&zone(name)?, at);
        Some(json!({ "displayName": format!("(UTC{offset}) {name}"), "standardName": name, "offset": offset }))
    };
    list("timeZones", ZONES.iter().filter_map(|(name, _)| shown(name)).collect())
}

/// `GET server-time`
pub(super) async fn server_time() -> Reply {
    ok(json!({ "ServerTime": format!("{:.3}", now()) }))
}
