//! What is accepted: a posted callback, read with every fault in it found at once.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::campaigns::{PlacementRefusal, PlacementRules};
use crate::http::{Faults, Member, Problem, ProblemKind, Unknown};
use crate::types::{CampaignId, Fault, Language, PhoneNumber, Region, TimeWindow, Zone, parse_instant};

/// A window that ends sooner than this leaves no room to dial.
const ROOM_TO_DIAL: SignedDuration = SignedDuration::from_secs(60);
/// How far ahead a callback can be asked for: no forecast reaches further.
const HORIZON: SignedDuration = SignedDuration::from_hours(90 * 24);

/// A caller's wish to be called back, as an IVR posts it
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = NewCallback)]
pub struct CallbackRequest {
    /// As the IVR has it: digits, formatted, or E.164. National numbers are read in `DEFAULT_REGION`.
    #[schema(value_type = String, required, example = "+12025550198")]
    #[serde(default)]
    phone_number: Member<String>,
    /// From when the caller may be called.
    #[schema(value_type = String, format = DateTime, required, example = "2026-11-20T15:00:00Z")]
    #[serde(default)]
    requested_start: Member<String>,
    /// Until when; 1 to 4 hours after `requestedStart`, both included, and in the future.
    #[schema(value_type = String, format = DateTime, required, example = "2026-11-20T17:00:00Z")]
    #[serde(default)]
    requested_end: Member<String>,
    /// The campaign that will call.
    #[schema(value_type = String, required, pattern = "^[A-Za-z0-9_-]{1,64}$",
        example = "a1b2c3d4-e5f6-7890-g1h2-i3j4k5l6m7n8")]
    #[serde(default)]
    campaign_id: Member<String>,
    /// BCP 47; the confirmation is in this language where there is a text for it.
    #[schema(value_type = String, required, example = "en-US")]
    #[serde(default)]
    language: Member<String>,
    /// IANA name; times in the confirmation are in this zone. `DEFAULT_TIMEZONE` where absent.
    #[schema(value_type = Option<String>, example = "America/New_York")]
    #[serde(default)]
    timezone: Member<String>,
    #[serde(flatten)]
    #[schema(ignore)]
    unknown: Unknown,
}

/// A wish that can be kept.
#[derive(Clone, Debug)]
pub struct Wish {
    pub phone_number: PhoneNumber,
    pub campaign_id: CampaignId,
    pub window: TimeWindow,
    pub language: Language,
    pub timezone: Option<Zone>,
}

/// A request whose members have been read, before what its campaign has to say.
pub struct Read {
    phone_number: Option<PhoneNumber>,
    campaign_id: Option<CampaignId>,
    window: Option<TimeWindow>,
    language: Option<Language>,
    timezone: Option<Zone>,
    faults: Faults,
    now: Timestamp,
}

impl CallbackRequest {
    /// Reads every member.
    pub fn read(&self, region: &Region, now: Timestamp) -> Read {
        let mut faults = Faults::new();
        let phone_number = faults.required("phoneNumber", &self.phone_number, |text| PhoneNumber::parse(text, region));
        let start = faults.required("requestedStart", &self.requested_start, |text| parse_instant(text));
        let end = faults.required("requestedEnd", &self.requested_end, |text| parse_instant(text));
        let window = start.zip(end).and_then(|(start, end)| read_window(start, end, now, &mut faults));
        let campaign_id = faults.required("campaignId", &self.campaign_id, |text| CampaignId::parse(text));
        let language = faults.required("language", &self.language, |text| Language::parse(text));
        let timezone = faults.optional("timezone", &self.timezone, |text| Zone::parse(text));
        faults.unknown(&self.unknown);
        Read { phone_number, campaign_id, window, language, timezone, faults, now }
    }
}

/// The window as it was asked for, with each thing that is wrong with it.
fn read_window(start: Timestamp, end: Timestamp, now: Timestamp, faults: &mut Faults) -> Option<TimeWindow> {
    let window = TimeWindow::parse(start, end).map_err(|fault| faults.add("requestedEnd", fault)).ok();
    if end < now + ROOM_TO_DIAL {
        faults.add("requestedEnd", Fault::new("window-in-the-past", "must be at least a minute in the future"));
    }
    if start > now + HORIZON {
        faults.add("requestedStart", Fault::new("too-far-ahead", "must be within the next 90 days"));
    }
    window
}

impl Read {
    /// The campaign that was named, for its rules.
    pub fn campaign_id(&self) -> Option<&CampaignId> {
        self.campaign_id.as_ref()
    }

    /// The wish, where nothing is wrong with it, with the rules of those campaigns that have any.
    ///
    /// # Errors
    /// A 422: with every fault, or where the campaign's restrictions leave nothing of the window.
    pub fn finish(mut self, rules: &HashMap<String, PlacementRules>) -> Result<Wish, Problem> {
        let rules = self.campaign_id.as_ref().and_then(|id| rules.get(id.as_str()));
        let hours = rules.and_then(|rules| rules.settings.business_hours.as_ref());
        if let (Some(window), Some(hours)) = (&self.window, hours)
            && !hours.contain(window)
        {
            let detail = format!("the window must lie inside the campaign's business hours ({})", hours.zone.name());
            self.faults.add("requestedStart", Fault::new("outside-business-hours", detail));
        }
        let now = self.now;
        let wish = self.phone_number.zip(self.campaign_id).zip(self.window).zip(self.language).map(
            |(((phone_number, campaign_id), window), language)| Wish {
                phone_number,
                campaign_id,
                window,
                language,
                timezone: self.timezone,
            },
        );
        let wish = self.faults.finish(wish)?;
        match rules.and_then(|rules| rules.restrictions.refusal(&wish.window, now)) {
            Some(refusal) => Err(refused(refusal)),
            None => Ok(wish),
        }
    }
}

fn refused(refusal: PlacementRefusal) -> Problem {
    let (kind, detail, earliest_start) = match refusal {
        PlacementRefusal::CampaignHeld { earliest_start } => (
            ProblemKind::CampaignHeld,
            "a compliance hold leaves no moment of the requested window in which the campaign may call",
            earliest_start,
        ),
        PlacementRefusal::OutsideRegulatoryWindow { earliest_start } => (
            ProblemKind::OutsideRegulatoryWindow,
            "the campaign may not call at any moment of the requested window",
            earliest_start,
        ),
    };
    Problem::unprocessable(kind, detail).with("earliestStart", earliest_start)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::campaigns::CampaignSettings;

    fn now() -> Timestamp {
        "2026-11-20T14:00:00Z".parse().unwrap()
    }

    fn payload() -> Value {
        json!({
            "phoneNumber": "+12025550198", "requestedStart": "2026-11-20T15:00:00Z",
            "requestedEnd": "2026-11-20T16:00:00Z", "campaignId": "a1b2c3d4-e5f6-7890-g1h2-i3j4k5l6m7n8",
            "language": "en-US",
        })
    }

    fn with(name: &str, value: impl Into<Value>) -> Value {
        let mut payload = payload();
        payload[name] = value.into();
        payload
    }

    /// `pointer code` of each fault.
    fn faults(payload: &Value) -> Vec<String> {
        let request: CallbackRequest = serde_json::from_value(payload.clone()).unwrap();
        let rules = HashMap::from([("weekdays".to_owned(), PlacementRules::new(weekdays(), []))]);
        match request.read(&Region::parse("US").unwrap(), now()).finish(&rules) {
            Ok(_) => Vec::new(),
            Err(problem) => problem.body(None, None)["errors"]
                .as_array()
                .unwrap()
                .iter()
                .map(|fault| format!("{} {}", fault["pointer"].as_str().unwrap(), fault["code"].as_str().unwrap()))
                .collect(),
        }
    }

    fn weekdays() -> CampaignSettings {
        let hours = json!({"timezone": "UTC", "days": [{"day": "FRIDAY", "startTime": "09:00", "endTime": "16:00"}]});
        serde_json::from_value(json!({ "businessHours": hours })).unwrap()
    }

    #[test]
    fn what_ivrs_send_is_accepted() {
        assert_eq!(faults(&payload()), [""; 0]);
        for number in ["2025550198", "(202) 555-0198", "1-202-555-0198", "+44 20 7946 0958"] {
            assert_eq!(faults(&with("phoneNumber", number)), [""; 0], "{number}");
        }
        assert_eq!(faults(&with("requestedStart", "2026-11-20T10:00:00-05:00")), [""; 0]);
        assert_eq!(faults(&with("requestedEnd", "2026-11-20T19:00:00Z")), [""; 0]);
        assert_eq!(faults(&with("timezone", "America/New_York")), [""; 0]);
        assert_eq!(faults(&with("timezone", Value::Null)), [""; 0]);
    }

    #[test]
    fn each_fault_is_named_by_its_place() {
        for (name, value, expected) in [
            ("phoneNumber", json!("not a number"), "/phoneNumber not-a-phone-number"),
            ("phoneNumber", json!("12"), "/phoneNumber not-a-phone-number"),
            ("phoneNumber", json!(12_025_550_198_u64), "/phoneNumber wrong-type"),
            ("phoneNumber", json!("+1202\u{0}5550198"), "/phoneNumber not-a-phone-number"),
            ("requestedEnd", json!("2026-11-20T15:59:00Z"), "/requestedEnd window-too-short"),
            ("requestedEnd", json!("2026-11-20T19:01:00Z"), "/requestedEnd window-too-long"),
            ("requestedStart", json!("tomorrow"), "/requestedStart not-a-timestamp"),
            ("language", json!("klingon"), "/language not-a-language"),
            ("campaignId", json!(""), "/campaignId not-a-campaign-id"),
            ("campaignId", json!("a\u{0}b"), "/campaignId not-a-campaign-id"),
            ("campaignId", json!({"deep": [[[]]]}), "/campaignId wrong-type"),
            ("timezone", json!("Mars/Olympus"), "/timezone not-a-time-zone"),
            ("colour", json!("red"), "/colour unknown-member"),
        ] {
            assert_eq!(faults(&with(name, value.clone())), [expected], "{name}: {value}");
        }
    }

    #[test]
    fn every_fault_is_named_at_once() {
        assert_eq!(
            faults(&json!({"phoneNumber": 5, "requestedStart": "2026-11-20T12:00:00Z", "extra": true,
                "requestedEnd": "2026-11-20T11:00:00Z", "language": "xx"})),
            [
                "/phoneNumber wrong-type",
                "/requestedEnd window-backwards",
                "/requestedEnd window-in-the-past",
                "/campaignId required",
                "/language not-a-language",
                "/extra unknown-member",
            ]
        );
    }

    #[test]
    fn a_window_must_leave_room_to_dial() {
        let ends = |end: &str| {
            let end: Timestamp = end.parse().unwrap();
            let mut payload = with("requestedEnd", end.to_string());
            payload["requestedStart"] = json!((end - SignedDuration::from_hours(1)).to_string());
            faults(&payload)
        };
        assert_eq!(ends("2026-11-20T14:01:00Z"), [""; 0]);
        assert_eq!(ends("2026-11-20T14:00:59Z"), ["/requestedEnd window-in-the-past"]);
        assert_eq!(ends("2027-11-20T14:00:00Z"), ["/requestedStart too-far-ahead"]);
    }

    #[test]
    fn a_window_must_lie_inside_business_hours() {
        let mut payload = with("campaignId", "weekdays");
        assert_eq!(faults(&payload), [""; 0]);
        payload["requestedEnd"] = json!("2026-11-20T16:30:00Z");
        assert_eq!(faults(&payload), ["/requestedStart outside-business-hours"]);
    }
}
