//! Settings as they are sent and shown.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::campaigns::model::{
    AnswerRateGuard, BusinessHours, BusinessHoursView, CampaignSettings, CarrierLimit, RegulatoryWindowView,
    parse_weekday, read_window,
};
use crate::http::{Faults, Member, Problem, Unknown};
use crate::types::{DailyWindow, Fault, PhoneNumber, Region, Zone, parse_time_of_day};

/// A call that takes longer than this is no call.
const LONGEST_HANDLE_TIME: u32 = 4 * 3600;
/// For the window of the answer rate's guard: replicas share what they have counted a few times a second.
const SHORTEST_WINDOW_MS: u32 = 1_000;
/// For its pause.
const SHORTEST_PAUSE_MS: u32 = 100;
const DAY_MS: u32 = 24 * 3600 * 1000;
/// Several open times for each day of the week.
const MOST_DAYS: usize = 50;

/// What operations have set for a campaign
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = CampaignSettings)]
pub struct SettingsView {
    /// How many agents it may use; null: as CXone has it.
    max_agents: Option<u32>,
    /// What the carrier takes.
    carrier_limit: Option<CarrierLimit>,
    /// The hours of every day in which it may dial; null: all.
    regulatory_window: Option<RegulatoryWindowView>,
    /// Whether Ringback pauses it when the window closes, and starts it when the window opens.
    enforce_regulatory_window: bool,
    /// When the answer rate pauses it; null: never.
    answer_rate: Option<AnswerRateGuard>,
    /// When callers may be called back; null: at any time.
    business_hours: Option<BusinessHoursView>,
    /// How long an agent is busy with a call; null: five minutes.
    average_handle_time_seconds: Option<u32>,
    /// The verified sender of its texts; null: `SMS_FROM`.
    #[schema(value_type = Option<String>, example = "+18005551234")]
    sms_from: Option<PhoneNumber>,
}

impl From<&CampaignSettings> for SettingsView {
    fn from(settings: &CampaignSettings) -> Self {
        Self {
            max_agents: settings.max_agents,
            carrier_limit: settings.carrier_limit,
            regulatory_window: settings.regulatory_window.as_ref().map(RegulatoryWindowView::from),
            enforce_regulatory_window: settings.enforce_regulatory_window,
            answer_rate: settings.answer_rate,
            business_hours: settings.business_hours.as_ref().map(BusinessHoursView::from),
            average_handle_time_seconds: settings.average_handle_time_seconds,
            sms_from: settings.sms_from.clone(),
        }
    }
}

/// New settings of a campaign, in place of all that were set before; what is left out is unset
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = NewCampaignSettings)]
pub struct SettingsRequest {
    /// At most `carrierLimit.maxAgents`.
    #[serde(default)]
    #[schema(value_type = Option<u32>, example = 25)]
    max_agents: Member<u32>,
    #[serde(default)]
    #[schema(value_type = Option<CarrierLimit>)]
    carrier_limit: Member<Value>,
    #[serde(default)]
    #[schema(value_type = Option<RegulatoryWindowView>)]
    regulatory_window: Member<Value>,
    /// Needs a `regulatoryWindow`.
    #[serde(default)]
    #[schema(value_type = Option<bool>, example = false)]
    enforce_regulatory_window: Member<bool>,
    #[serde(default)]
    #[schema(value_type = Option<AnswerRateGuard>)]
    answer_rate: Member<Value>,
    #[serde(default)]
    #[schema(value_type = Option<BusinessHoursView>)]
    business_hours: Member<Value>,
    /// 1 to 14400.
    #[serde(default)]
    #[schema(value_type = Option<u32>, minimum = 1, maximum = 14400, example = 300)]
    average_handle_time_seconds: Member<u32>,
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "+18005551234")]
    sms_from: Member<String>,
    #[serde(flatten)]
    #[schema(ignore)]
    unknown: Unknown,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BusinessHoursRequest {
    #[serde(default)]
    timezone: Member<String>,
    #[serde(default)]
    days: Member<Vec<Value>>,
    #[serde(flatten)]
    unknown: Unknown,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OpenDayRequest {
    #[serde(default)]
    day: Member<String>,
    #[serde(default)]
    start_time: Member<String>,
    #[serde(default)]
    end_time: Member<String>,
    #[serde(flatten)]
    unknown: Unknown,
}

impl SettingsRequest {
    /// The settings, where nothing is wrong with them.
    ///
    /// # Errors
    /// A 422 with every fault.
    pub fn read(&self, region: &Region) -> Result<CampaignSettings, Problem> {
        let mut faults = Faults::new();
        let max_agents = faults.optional("maxAgents", &self.max_agents, |agents| Ok(*agents));
        let carrier_limit = read_carrier_limit("carrierLimit", &self.carrier_limit, &mut faults);
        check_agents(max_agents, carrier_limit, &mut faults);
        let regulatory_window = read_window("regulatoryWindow", &self.regulatory_window, &mut faults);
        let enforced = faults.optional("enforceRegulatoryWindow", &self.enforce_regulatory_window, |enforced| {
            if *enforced && matches!(self.regulatory_window, Member::Absent) {
                return Err(Fault::new("needs-regulatory-window", "needs a regulatoryWindow to enforce"));
            }
            Ok(*enforced)
        });
        let answer_rate = faults.object("answerRate", &self.answer_rate, read_guard);
        let business_hours = faults.object("businessHours", &self.business_hours, read_business_hours);
        let average_handle_time_seconds =
            faults.optional("averageHandleTimeSeconds", &self.average_handle_time_seconds, |seconds| {
                if (1..=LONGEST_HANDLE_TIME).contains(seconds) {
                    return Ok(*seconds);
                }
                Err(Fault::new("out-of-range", format!("must be 1 to {LONGEST_HANDLE_TIME} seconds")))
            });
        let sms_from = faults.optional("smsFrom", &self.sms_from, |text| PhoneNumber::parse(text, region));
        faults.unknown(&self.unknown);
        faults.finish(Some(CampaignSettings {
            max_agents,
            carrier_limit,
            regulatory_window,
            enforce_regulatory_window: enforced.unwrap_or_default(),
            answer_rate,
            business_hours,
            average_handle_time_seconds,
            sms_from,
        }))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CarrierLimitRequest {
    #[serde(default)]
    max_concurrent_calls: Member<u32>,
    #[serde(default)]
    max_agents: Member<u32>,
    #[serde(flatten)]
    unknown: Unknown,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct GuardRequest {
    #[serde(default)]
    enabled: Member<bool>,
    #[serde(default)]
    window_ms: Member<u32>,
    #[serde(default)]
    min_answer_rate: Member<f64>,
    #[serde(default)]
    min_attempts: Member<u32>,
    #[serde(default)]
    pause_for_ms: Member<u32>,
    #[serde(flatten)]
    unknown: Unknown,
}

fn read_guard(request: GuardRequest, faults: &mut Faults) -> Option<AnswerRateGuard> {
    let up_to_a_day = |ms: u32, shortest: u32| {
        if (shortest..=DAY_MS).contains(&ms) {
            return Ok(ms);
        }
        Err(Fault::new("out-of-range", format!("must be {shortest} to {DAY_MS} ms")))
    };
    let enabled = faults.optional("enabled", &request.enabled, |enabled| Ok(*enabled));
    let window_ms = faults.required("windowMs", &request.window_ms, |ms| up_to_a_day(*ms, SHORTEST_WINDOW_MS));
    let min_answer_rate = faults.required("minAnswerRate", &request.min_answer_rate, |rate| {
        if (0.0..=1.0).contains(rate) { Ok(*rate) } else { Err(Fault::new("out-of-range", "must be 0 to 1")) }
    });
    let min_attempts = faults.required("minAttempts", &request.min_attempts, |attempts| match attempts {
        0 => Err(Fault::new("out-of-range", "must be at least 1")),
        attempts => Ok(*attempts),
    });
    let pause_for_ms = faults.required("pauseForMs", &request.pause_for_ms, |ms| up_to_a_day(*ms, SHORTEST_PAUSE_MS));
    faults.unknown(&request.unknown);
    Some(AnswerRateGuard {
        enabled: enabled.unwrap_or(true),
        window_ms: window_ms?,
        min_answer_rate: min_answer_rate?,
        min_attempts: min_attempts?,
        pause_for_ms: pause_for_ms?,
    })
}

/// Reads what the carrier takes, sent as the member `name`.
pub fn read_carrier_limit(name: &str, member: &Member<Value>, faults: &mut Faults) -> Option<CarrierLimit> {
    let at_least_one = |limit: &u32| match limit {
        0 => Err(Fault::new("out-of-range", "must be at least 1")),
        limit => Ok(*limit),
    };
    faults.object(name, member, |request: CarrierLimitRequest, faults| {
        let max_concurrent_calls = faults.required("maxConcurrentCalls", &request.max_concurrent_calls, at_least_one);
        let max_agents = faults.required("maxAgents", &request.max_agents, at_least_one);
        faults.unknown(&request.unknown);
        Some(CarrierLimit { max_concurrent_calls: max_concurrent_calls?, max_agents: max_agents? })
    })
}

/// No more agents than the carrier takes.
pub fn check_agents(max_agents: Option<u32>, carrier_limit: Option<CarrierLimit>, faults: &mut Faults) {
    if let Some(limit) = carrier_limit
        && max_agents.is_some_and(|agents| agents > limit.max_agents)
    {
        let detail = format!("must be at most carrierLimit.maxAgents, {}", limit.max_agents);
        faults.add("maxAgents", Fault::new("over-carrier-limit", detail));
    }
}

fn read_business_hours(request: BusinessHoursRequest, faults: &mut Faults) -> Option<BusinessHours> {
    let zone = faults.required("timezone", &request.timezone, |text| Zone::parse(text));
    let days = faults.required("days", &request.days, |days| {
        if days.len() <= MOST_DAYS {
            return Ok(days.clone());
        }
        Err(Fault::new("out-of-range", format!("must have at most {MOST_DAYS} open times")))
    });
    faults.unknown(&request.unknown);
    // Also where the zone is wrong, so that the days' own faults are told with it.
    let any_zone = zone.clone().or_else(|| Zone::parse("UTC").ok())?;
    let open = faults.within("days", |faults| {
        let days = days.unwrap_or_default();
        let read = days.into_iter().enumerate().map(|(index, day)| {
            let day = Member::Given(day);
            faults.object(&index.to_string(), &day, |request, faults| read_open_day(request, &any_zone, faults))
        });
        read.collect::<Vec<_>>()
    });
    Some(BusinessHours { zone: zone?, open: open.into_iter().flatten().collect() })
}

fn read_open_day(
    request: OpenDayRequest,
    zone: &Zone,
    faults: &mut Faults,
) -> Option<(jiff::civil::Weekday, DailyWindow)> {
    let day = faults.required("day", &request.day, |text| parse_weekday(text));
    let start = faults.required("startTime", &request.start_time, |text| parse_time_of_day(text));
    let end = faults.required("endTime", &request.end_time, |text| parse_time_of_day(text));
    faults.unknown(&request.unknown);
    let window = DailyWindow::new(start?, end?, zone.clone()).map_err(|fault| faults.add("endTime", fault)).ok();
    day.zip(window)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(body: Value) -> Result<CampaignSettings, Vec<String>> {
        let request: SettingsRequest = serde_json::from_value(body).unwrap();
        request.read(&Region::parse("US").unwrap()).map_err(|problem| {
            let body = problem.body(None, None);
            let text = |fault: &Value, name: &str| fault[name].as_str().unwrap().to_owned();
            body["errors"]
                .as_array()
                .unwrap()
                .iter()
                .map(|f| format!("{} {}", text(f, "pointer"), text(f, "code")))
                .collect()
        })
    }

    #[test]
    fn settings_are_kept_as_they_are_shown() {
        let body = json!({
            "businessHours": {"timezone": "Europe/Berlin", "days": [
                {"day": "MONDAY", "startTime": "08:00", "endTime": "20:00"},
                {"day": "FRIDAY", "startTime": "22:00", "endTime": "02:00"},
            ]},
            "averageHandleTimeSeconds": 420, "smsFrom": "+18005551234",
            "maxAgents": 30, "carrierLimit": {"maxConcurrentCalls": 100, "maxAgents": 30},
            "regulatoryWindow": {"startTime": "21:00", "endTime": "02:00", "timezone": "Europe/Berlin"},
            "enforceRegulatoryWindow": true,
            "answerRate": {
                "enabled": true, "windowMs": 60000, "minAnswerRate": 0.35, "minAttempts": 100, "pauseForMs": 300000,
            },
        });
        let settings = read(body.clone()).unwrap();
        assert_eq!(json!(SettingsView::from(&settings)), body);
        assert_eq!(serde_json::from_value::<CampaignSettings>(json!(settings)).unwrap(), settings);
        assert_eq!(read(json!({})), Ok(CampaignSettings::default()));
    }

    #[test]
    fn every_fault_is_named_by_its_place_at_once() {
        let body = json!({
            "businessHours": {"timezone": "Mars/Olympus", "open": 1, "days": [
                {"day": "Monday", "startTime": "24:00", "endTime": "9:5"},
                {"day": "MONDAY", "startTime": "08:00", "endTime": "08:00"},
                7,
            ]},
            "averageHandleTimeSeconds": 0, "smsFrom": "nobody", "enforceRegulatoryWindow": true, "maxAgents": 31,
            "carrierLimit": {"maxConcurrentCalls": 0, "maxAgents": 30, "calls": 1}, "dialer": "fast",
        });
        assert_eq!(
            read(body).unwrap_err(),
            [
                "/carrierLimit/maxConcurrentCalls out-of-range",
                "/carrierLimit/calls unknown-member",
                "/enforceRegulatoryWindow needs-regulatory-window",
                "/businessHours/timezone not-a-time-zone",
                "/businessHours/open unknown-member",
                "/businessHours/days/0/day not-a-day",
                "/businessHours/days/0/startTime not-a-time-of-day",
                "/businessHours/days/0/endTime not-a-time-of-day",
                "/businessHours/days/1/endTime daily-window-empty",
                "/businessHours/days/2 wrong-type",
                "/averageHandleTimeSeconds out-of-range",
                "/smsFrom not-a-phone-number",
                "/dialer unknown-member",
            ]
        );
        let limited = json!({
            "maxAgents": 31, "carrierLimit": {"maxConcurrentCalls": 1, "maxAgents": 30},
            "regulatoryWindow": {"startTime": "9:5", "endTime": "24:00", "timezone": "Mars"},
            "answerRate": {"enabled": 1, "windowMs": 0, "minAnswerRate": 1.5, "minAttempts": 0, "floor": 1},
        });
        assert_eq!(
            read(limited).unwrap_err(),
            [
                "/maxAgents over-carrier-limit",
                "/regulatoryWindow/startTime not-a-time-of-day",
                "/regulatoryWindow/endTime not-a-time-of-day",
                "/regulatoryWindow/timezone not-a-time-zone",
                "/answerRate/enabled wrong-type",
                "/answerRate/windowMs out-of-range",
                "/answerRate/minAnswerRate out-of-range",
                "/answerRate/minAttempts out-of-range",
                "/answerRate/pauseForMs required",
                "/answerRate/floor unknown-member",
            ]
        );
        let guard = |window: u32, pause: u32| {
            json!({"answerRate": {
                "windowMs": window, "minAnswerRate": 0.35, "minAttempts": 100, "pauseForMs": pause,
            }})
        };
        assert_eq!(
            read(guard(999, 99)).unwrap_err(),
            ["/answerRate/windowMs out-of-range", "/answerRate/pauseForMs out-of-range"]
        );
        assert!(read(guard(1_000, 100)).is_ok() && read(guard(DAY_MS + 1, 100)).is_err());
        // As it was kept when shorter windows were allowed.
        let kept = json!({"answerRate": {"enabled": true, "windowMs": 100, "minAnswerRate": 0.5, "minAttempts": 1,
            "pauseForMs": 100}});
        assert_eq!(serde_json::from_value::<CampaignSettings>(kept).unwrap().answer_rate.unwrap().window_ms, 100);
        assert_eq!(
            read(json!({"averageHandleTimeSeconds": -1, "businessHours": []})).unwrap_err(),
            ["/businessHours wrong-type", "/averageHandleTimeSeconds wrong-type"]
        );
    }
}
