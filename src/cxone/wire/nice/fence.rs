//! The hours of a skill: `parameters/schedule-settings`, in the zone of the business unit.

use jiff::Timestamp;
use jiff::civil::Time;
use jiff::tz::TimeZone;
use reqwest::Method;
use serde_json::{Map, Value, json};

use super::{Nice, Request};
use crate::cxone::endpoint::Operation;
use crate::cxone::error::CxoneError;
use crate::cxone::model::{RequestContext, SkillHours};
use crate::cxone::transport::Transport;
use crate::types::{CampaignId, DailyWindow};

const DAYS: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
const PERMISSION: &str = "the permission to edit the schedule of skills";

impl Nice {
    pub async fn fence(
        &self,
        transport: &Transport,
        campaign: &CampaignId,
        window: &DailyWindow,
        apply: bool,
        context: RequestContext<'_>,
    ) -> Result<Vec<SkillHours>, CxoneError> {
        let zone = self.business_unit_zone(transport, context).await?;
        let (start, end) = hours_in(window, &zone, self.clock.now())?;
        let mut fenced = Vec::new();
        for skill_id in self.skills_of(transport, campaign, context).await? {
            let mut settings = self.schedule_of(transport, skill_id, context).await?;
            let differences = set_hours(&mut settings, &start, &end);
            if apply && !differences.is_empty() {
                // All that was read is written: whether CXone merges or replaces is not known.
                let body = json!({ "scheduleSettings": settings });
                let request = Request::new(Operation::UpdateCampaign, Method::PUT, path(skill_id), PERMISSION);
                self.call(transport, request.body(&body), context, |_| Some(())).await?;
                let mut written = self.schedule_of(transport, skill_id, context).await?;
                if !set_hours(&mut written, &start, &end).is_empty() {
                    return Err(CxoneError::unexpected("the hours were written, and are shown unchanged"));
                }
            }
            fenced.push(SkillHours { skill_id, start_time: start.clone(), end_time: end.clone(), differences });
        }
        Ok(fenced)
    }

    async fn schedule_of(
        &self,
        transport: &Transport,
        skill: i64,
        context: RequestContext<'_>,
    ) -> Result<Map<String, Value>, CxoneError> {
        let request = Request::get(Operation::ReadCampaign, path(skill), PERMISSION);
        let read = |body: &[u8]| serde_json::from_slice::<Map<String, Value>>(body).ok();
        let mut settings = self.call(transport, request, context, read).await?;
        match settings.remove("scheduleSettings") {
            Some(Value::Object(inner)) => Ok(inner),
            _ => Ok(settings),
        }
    }
}

fn path(skill: i64) -> String {
    format!("skills/{skill}/parameters/schedule-settings")
}

/// The window in the zone of the business unit, as it is today.
fn hours_in(window: &DailyWindow, zone: &TimeZone, now: Timestamp) -> Result<(String, String), CxoneError> {
    let today = now.to_zoned(window.zone().tz().clone()).date();
    let local = |time: Time| {
        let at = today.to_datetime(time).to_zoned(window.zone().tz().clone()).ok()?;
        Some(at.with_time_zone(zone.clone()).time())
    };
    let reason = |reason: &str| CxoneError::Rejected { status: 422, reason: reason.to_owned() };
    let (start, end) =
        local(window.start()).zip(local(window.end())).ok_or_else(|| reason("the window has no hours today"))?;
    if start >= end {
        return Err(reason("the window passes midnight in the zone of the business unit: CXone cannot express that"));
    }
    let text = |time: Time| time.strftime("%H:%M").to_string();
    Ok((text(start), text(end)))
}

/// Sets the hours of each day. Returns what was different. Days that CXone has as inactive stay so.
fn set_hours(settings: &mut Map<String, Value>, start: &str, end: &str) -> Vec<String> {
    let mut differences = Vec::new();
    let mut set = |name: String, wanted: Value| {
        let shown = settings.insert(name.clone(), wanted.clone()).unwrap_or_default();
        if shown != wanted {
            differences.push(format!("{name}: {shown}"));
        }
    };
    set("isScheduled".into(), true.into());
    for day in DAYS {
        set(format!("{day}StartTime"), start.into());
        set(format!("{day}EndTime"), end.into());
    }
    differences
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(start: &str, end: &str, zone: &str) -> DailyWindow {
        let time = |text: &str| crate::types::parse_time_of_day(text).unwrap();
        DailyWindow::new(time(start), time(end), crate::types::TimeZone::parse(zone).unwrap()).unwrap()
    }

    #[test]
    fn a_window_is_written_in_the_zone_of_the_business_unit() {
        let now = "2026-11-20T15:00:00Z".parse().unwrap();
        let zone = |name: &str| TimeZone::get(name).unwrap();
        let hours = |window: DailyWindow, name: &str| hours_in(&window, &zone(name), now).ok();
        let text = |start: &str, end: &str| Some((start.to_owned(), end.to_owned()));
        assert_eq!(
            hours(window("09:00", "21:00", "America/Los_Angeles"), "America/New_York"),
            None,
            "it ends at midnight"
        );
        assert_eq!(hours(window("09:00", "20:00", "America/Los_Angeles"), "America/New_York"), text("12:00", "23:00"));
        assert_eq!(hours(window("09:00", "20:00", "UTC"), "UTC"), text("09:00", "20:00"));
        assert_eq!(hours(window("21:00", "02:00", "UTC"), "UTC"), None);
    }

    #[test]
    fn only_what_differs_is_named_and_other_settings_are_kept() {
        let mut settings = Map::from_iter([("isScheduled".to_owned(), json!(false)), ("other".to_owned(), json!(7))]);
        assert_eq!(set_hours(&mut settings, "09:00", "20:00").len(), 15);
        assert_eq!((set_hours(&mut settings, "09:00", "20:00"), &settings["other"]), (vec![], &json!(7)));
    }
}
