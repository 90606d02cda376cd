//! What is read of the business unit.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::Mutex;

use super::reply::rows;
use super::zones::zone;
use super::{Nice, Request};
use crate::cxone::endpoint::Operation;
use crate::cxone::error::CxoneError;
use crate::cxone::model::RequestContext;
use crate::cxone::transport::Transport;

/// How long its time zone is remembered.
const FRESH_FOR: SignedDuration = SignedDuration::from_hours(24);

/// The business unit, as far as it has been read.
#[derive(Default)]
pub struct BusinessUnit {
    zone: Mutex<Option<(Timestamp, TimeZone)>>,
}

impl Nice {
    /// The time zone of the business unit, at most a day old.
    pub(super) async fn business_unit_zone(
        &self,
        transport: &Transport,
        context: RequestContext<'_>,
    ) -> Result<TimeZone, CxoneError> {
        let now = self.clock.now();
        let mut known = self.business_unit.zone.lock().await;
        if let Some((_, zone)) = known.as_ref().filter(|(read_at, _)| now < *read_at + FRESH_FOR) {
            return Ok(zone.clone());
        }
        let permission = "the permission to view the business unit";
        let request = Request::get(Operation::ReadTenant, "business-unit".into(), permission);
        let read = |body: &[u8]| rows(body, &["businessUnits"])?.first()?.text(&["defaultTimeZone", "timeZone"]);
        let name = self.call(transport, request, context, read).await?;
        let zone = zone(&name)
            .ok_or_else(|| CxoneError::unavailable(format!("the time zone of the business unit is unknown: {name}")))?;
        *known = Some((now, zone.clone()));
        Ok(zone)
    }
}
