//! The request for one callback, and its rules.

use jiff::Timestamp;
use serde::Deserialize;
use utoipa::ToSchema;
use validator::{Validate, ValidationError};

use super::metadata::MetadataRequest;
use super::window::{
    ParseContext, RequestsWindow, in_the_future, inside_business_hours, instant, one_to_four_hours, within_90_days,
};
use crate::callbacks::model::NewCallback;
use crate::http::Problem;
use crate::http::validation::{Member, Unknown};
use crate::types::{CampaignId, ExternalId, Language, PhoneNumber, TimeWindow, TimeZone};

/// A callback request
#[derive(Debug, Deserialize, ToSchema, Validate)]
#[serde(rename_all = "camelCase")]
#[schema(as = NewCallback)]
#[expect(clippy::duplicated_attributes, reason = "each `schema` rule has its own attributes")]
#[validate(context = "ParseContext<'v_a>")]
#[validate(schema(function = "one_to_four_hours", skip_on_field_errors = false))]
#[validate(schema(function = "inside_business_hours", use_context, skip_on_field_errors = false))]
pub(super) struct CallbackRequest {
    /// In any form: digits only, formatted, or E.164. A national number belongs to `DEFAULT_REGION`.
    #[schema(value_type = String, required, example = "+12025550198")]
    #[serde(default)]
    #[validate(required, custom(function = "phone_number", use_context))]
    phone_number: Member<String, PhoneNumber>,
    /// The start of the window in which to call, at most 90 days ahead.
    #[schema(value_type = String, format = DateTime, required, example = "2026-11-20T15:00:00Z")]
    #[serde(default)]
    #[validate(required, custom(function = "instant"), custom(function = "within_90_days", use_context))]
    requested_start: Member<String, Timestamp>,
    /// The end of the window: 1 to 4 hours after `requestedStart`, and at least a minute in the future.
    #[schema(value_type = String, format = DateTime, required, example = "2026-11-20T17:00:00Z")]
    #[serde(default)]
    #[validate(required, custom(function = "instant"), custom(function = "in_the_future", use_context))]
    requested_end: Member<String, Timestamp>,
    /// The campaign that calls.
    #[schema(value_type = String, required, pattern = "^[A-Za-z0-9_-]{1,64}$",
        example = "a1b2c3d4-e5f6-7890-g1h2-i3j4k5l6m7n8")]
    #[serde(default)]
    #[validate(required, custom(function = "campaign_id"))]
    campaign_id: Member<String, CampaignId>,
    /// A BCP 47 tag. The confirmation is in this language if it has a translation, else in English.
    #[schema(value_type = String, required, example = "en-US")]
    #[serde(default)]
    #[validate(required, custom(function = "language"))]
    language: Member<String, Language>,
    /// The IANA time zone of times in the confirmation. `DEFAULT_TIMEZONE` by default.
    #[schema(value_type = Option<String>, example = "America/New_York")]
    #[serde(default)]
    #[validate(custom(function = "time_zone"))]
    timezone: Member<String, TimeZone>,
    /// Your own id of the callback: 1 to 128 characters, without control characters.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 128, example = "ticket-4711")]
    #[serde(default)]
    #[validate(custom(function = "external_id"))]
    external_id: Member<String, ExternalId>,
    /// At most 20 pairs of text: keys of 1 to 40 characters, values of at most 500.
    #[schema(value_type = Option<HashMap<String, String>>, example = json!({"queue": "billing"}))]
    #[serde(default)]
    #[validate(nested)]
    metadata: Member<MetadataRequest>,
    #[serde(flatten)]
    #[schema(ignore)]
    #[validate(nested)]
    unknown: Unknown,
}

impl RequestsWindow for CallbackRequest {
    fn start(&self) -> Option<Timestamp> {
        self.requested_start.parsed().copied()
    }

    fn end(&self) -> Option<Timestamp> {
        self.requested_end.parsed().copied()
    }
}

impl CallbackRequest {
    /// The requested campaign, if it is a campaign id. [`ParseContext`] needs its rules.
    pub fn campaign_id(&self) -> Option<&CampaignId> {
        let _ = campaign_id(&self.campaign_id);
        self.campaign_id.parsed()
    }

    /// The request as a new callback.
    ///
    /// # Errors
    /// A 422 with every fault, or if the holds and the regulatory window of the campaign leave no time to call.
    pub fn parse(self, context: &ParseContext<'_>) -> Result<NewCallback, Problem> {
        let window = self.valid_window(context)?;
        self.into_new_callback(window).ok_or_else(|| Problem::invalid(Vec::new()))
    }

    /// None if the request is not valid.
    fn into_new_callback(self, window: TimeWindow) -> Option<NewCallback> {
        Some(NewCallback {
            window,
            phone_number: self.phone_number.into_parsed()?,
            campaign_id: self.campaign_id.into_parsed()?,
            language: self.language.into_parsed()?,
            timezone: self.timezone.into_parsed(),
            external_id: self.external_id.into_parsed(),
            metadata: self.metadata.into_value().and_then(MetadataRequest::into_metadata),
        })
    }
}

fn phone_number(member: &Member<String, PhoneNumber>, context: &ParseContext<'_>) -> Result<(), ValidationError> {
    member.parse(|text| PhoneNumber::parse(text, context.region))
}

fn campaign_id(member: &Member<String, CampaignId>) -> Result<(), ValidationError> {
    match member.parsed() {
        Some(_) => Ok(()),
        None => member.parse(|text| CampaignId::parse(text)),
    }
}

fn language(member: &Member<String, Language>) -> Result<(), ValidationError> {
    member.parse(|text| Language::parse(text))
}

fn time_zone(member: &Member<String, TimeZone>) -> Result<(), ValidationError> {
    member.parse(|text| TimeZone::parse(text))
}

fn external_id(member: &Member<String, ExternalId>) -> Result<(), ValidationError> {
    member.parse(|text| ExternalId::parse(text))
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;
    use serde_json::{Value, json};

    use super::*;
    use crate::campaigns::{CampaignSettings, PlacementRules};
    use crate::types::Region;

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

    fn pairs(count: usize) -> Value {
        (0..count).map(|n| (n.to_string(), json!("x"))).collect()
    }

    /// `pointer code` of each fault.
    fn faults(payload: &Value) -> Vec<String> {
        let request: CallbackRequest = serde_json::from_value(payload.clone()).unwrap();
        let (region, weekdays) = (Region::parse("US").unwrap(), PlacementRules::new(weekdays(), []));
        let rules = request.campaign_id().filter(|campaign| campaign.as_str() == "weekdays").map(|_| &weekdays);
        match request.parse(&ParseContext { region: &region, now: now(), rules }) {
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
    fn numbers_and_times_are_accepted_in_the_forms_that_ivrs_send() {
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
    fn each_fault_is_reported_at_its_pointer() {
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
            ("externalId", json!(""), "/externalId not-an-external-id"),
            ("externalId", json!("x".repeat(129)), "/externalId not-an-external-id"),
            ("externalId", json!("a\u{0}b"), "/externalId not-an-external-id"),
            ("externalId", json!("a\nb"), "/externalId not-an-external-id"),
            ("externalId", json!(7), "/externalId wrong-type"),
            ("metadata", json!("red"), "/metadata wrong-type"),
            ("metadata", json!([["a", "b"]]), "/metadata wrong-type"),
            ("metadata", json!({"a_b/c~": 7}), "/metadata/a_b~1c~0 wrong-type"),
            ("metadata", json!({"__all__": null}), "/metadata/__all__ wrong-type"),
            ("metadata", json!({"unknown": "x".repeat(501)}), "/metadata/unknown too-long"),
            ("metadata", json!({"a": "b\u{0}"}), "/metadata/a nul-character"),
            ("metadata", json!({"": "b"}), "/metadata/ not-a-metadata-key"),
            ("metadata", pairs(21), "/metadata out-of-range"),
            ("colour", json!("red"), "/colour unknown-member"),
        ] {
            assert_eq!(faults(&with(name, value.clone())), [expected], "{name}: {value}");
        }
    }

    #[test]
    fn an_external_id_and_metadata_are_optional() {
        for (name, value) in [
            ("externalId", json!("Ticket 4711/ä")),
            ("externalId", json!("€".repeat(128))),
            ("externalId", Value::Null),
            ("metadata", Value::Null),
            ("metadata", json!({})),
            ("metadata", json!({"k".repeat(40): "€".repeat(500), "empty": ""})),
            ("metadata", pairs(20)),
        ] {
            assert_eq!(faults(&with(name, value.clone())), [""; 0], "{name}: {value}");
        }
    }

    #[test]
    fn all_faults_are_reported_at_once() {
        assert_eq!(
            faults(&json!({"phoneNumber": 5, "requestedStart": "2026-11-20T12:00:00Z", "extra": true,
                "requestedEnd": "2026-11-20T11:00:00Z", "language": "xx",
                "externalId": "\t", "metadata": {"b": 1, "a": "\0", "\0": ""}})),
            [
                "/campaignId required",
                "/externalId not-an-external-id",
                "/extra unknown-member",
                "/language not-a-language",
                "/metadata/\0 not-a-metadata-key",
                "/metadata/a nul-character",
                "/metadata/b wrong-type",
                "/phoneNumber wrong-type",
                "/requestedEnd window-in-the-past",
                "/requestedEnd window-backwards",
            ]
        );
    }

    #[test]
    fn a_window_must_leave_time_to_call() {
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
