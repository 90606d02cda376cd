//! Commands as they are sent, and campaigns as they are shown.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use super::settings_request::{SettingsView, check_agents, read_carrier_limit};
use crate::audit::Actor;
use crate::campaigns::model::{Campaign, CommandKind, Failure, Hold, PauseReason, Report, Status, Trigger};
use crate::campaigns::model::{
    CampaignSettings, CarrierLimit, Counts, DEFAULT_WINDOW, RegulatoryWindowView, first_open, read_window,
};
use crate::campaigns::store::CommandContext;
use crate::cxone::CampaignState;
use crate::http::{Faults, Member, Problem, Unknown};
use crate::types::{CampaignId, Fault, parse_instant};

/// Pause a campaign: a reason for it not to dial
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Pause)]
pub struct PauseRequest {
    /// Where it stands here too, the one of the path.
    #[serde(default)]
    #[schema(value_type = Option<Uuid>)]
    campaign_id: Member<String>,
    #[serde(default)]
    #[schema(value_type = PauseReason, required)]
    pause_reason: Member<String>,
    /// Lifted before its time only under `campaigns:override`; needs a `scheduledResumeTime`. Implied by the pause reason
    /// `COMPLIANCE_HOLD`.
    #[serde(default)]
    #[schema(value_type = Option<bool>)]
    compliance_hold: Member<bool>,
    /// When the hold lifts itself; never, where absent. Where the window is closed then, at its next opening.
    #[serde(default)]
    #[schema(value_type = Option<Timestamp>)]
    scheduled_resume_time: Member<String>,
    /// At most `carrierLimit.maxAgents`. That of the settings, where absent.
    #[serde(default)]
    #[schema(value_type = Option<u32>, example = 25)]
    max_agents: Member<u32>,
    /// That of the settings, where absent.
    #[serde(default)]
    #[schema(value_type = Option<RegulatoryWindowView>)]
    regulatory_window: Member<Value>,
    /// That of the settings, where absent.
    #[serde(default)]
    #[schema(value_type = Option<CarrierLimit>)]
    carrier_limit: Member<Value>,
    #[serde(flatten)]
    #[schema(ignore)]
    unknown: Unknown,
}

/// A pause that was understood: a hold to be placed, and the resume time that was asked for where it had to be moved.
#[derive(Debug)]
pub struct Pause {
    pub hold: Box<Hold>,
    pub resume_deferred_from: Option<Timestamp>,
}

/// Who places a hold, and when.
pub struct Placing {
    pub id: Uuid,
    pub by: Actor,
    pub request_id: String,
    pub now: Timestamp,
}

impl PauseRequest {
    /// The hold that it asks for.
    ///
    /// # Errors
    /// A 422 with every fault, those of the path among them.
    pub fn read(
        &self,
        mut faults: Faults,
        path: &str,
        known: &CommandContext,
        placing: Placing,
    ) -> Result<Pause, Problem> {
        let settings = &known.settings;
        check_campaign(&self.campaign_id, path, &mut faults);
        let reason = faults.required("pauseReason", &self.pause_reason, |text| PauseReason::parse(text));
        let compliance = faults.optional("complianceHold", &self.compliance_hold, |held| Ok(*held)).unwrap_or_default()
            || reason == Some(PauseReason::ComplianceHold);
        let asked_for = if compliance {
            faults.required("scheduledResumeTime", &self.scheduled_resume_time, |text| resume_time(text, placing.now))
        } else {
            faults.optional("scheduledResumeTime", &self.scheduled_resume_time, |text| resume_time(text, placing.now))
        };
        let max_agents = faults.optional("maxAgents", &self.max_agents, |agents| Ok(*agents)).or(settings.max_agents);
        let window = read_window("regulatoryWindow", &self.regulatory_window, &mut faults);
        let carrier_limit =
            read_carrier_limit("carrierLimit", &self.carrier_limit, &mut faults).or(settings.carrier_limit);
        let needed = [
            ("maxAgents", matches!(self.max_agents, Member::Absent) && settings.max_agents.is_none()),
            (
                "regulatoryWindow",
                matches!(self.regulatory_window, Member::Absent) && settings.regulatory_window.is_none(),
            ),
            ("carrierLimit", matches!(self.carrier_limit, Member::Absent) && settings.carrier_limit.is_none()),
        ];
        for (name, _) in needed.into_iter().filter(|(_, is_missing)| *is_missing) {
            faults.add(name, Fault::new("required", "is required where the campaign's settings have none"));
        }
        check_agents(max_agents, carrier_limit, &mut faults);
        faults.unknown(&self.unknown);
        let ends_at = asked_for.map(|at| {
            let is_put_aside = known.override_until.is_some_and(|until| at < until);
            let of_settings = settings.regulatory_window.as_ref().filter(|_| !is_put_aside);
            first_open(&window.iter().chain(of_settings).collect::<Vec<_>>(), at)
        });
        let pause = reason.map(|reason| Pause {
            resume_deferred_from: asked_for.filter(|at| ends_at != Some(*at)),
            hold: Box::new(Hold {
                id: placing.id,
                reason,
                compliance,
                triggered_by: Trigger::ManualPause,
                placed_by: placing.by,
                placed_at: placing.now,
                ends_at,
                max_agents,
                regulatory_window: window,
                request_id: Some(placing.request_id),
                affected_callbacks: None,
                counts: Counts::default(),
                revision: 0,
            }),
        });
        faults.finish(pause)
    }
}

/// Lift holds of a campaign, and let it dial where none is left
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Resume)]
pub struct ResumeRequest {
    /// Where it stands here too, the one of the path.
    #[serde(default)]
    #[schema(value_type = Option<Uuid>)]
    campaign_id: Member<String>,
    /// Only the holds of this reason; all, where absent.
    #[serde(default)]
    #[schema(value_type = Option<PauseReason>)]
    pause_reason: Member<String>,
    /// Only this hold; all, where absent.
    #[serde(default)]
    #[schema(value_type = Option<Uuid>)]
    hold_id: Member<String>,
    /// At most the `carrierLimit.maxAgents` of the settings. Those of the settings, where absent; without them, as many as
    /// before the pause.
    #[serde(default)]
    #[schema(value_type = Option<u32>, example = 25)]
    max_agents: Member<u32>,
    /// Puts a compliance hold and a closed window aside; needs the scope `campaigns:override`.
    #[serde(default)]
    #[schema(value_type = Option<bool>)]
    force: Member<bool>,
    #[serde(flatten)]
    #[schema(ignore)]
    unknown: Unknown,
}

impl ResumeRequest {
    /// The command that it is.
    ///
    /// # Errors
    /// A 422 with every fault, those of the path among them.
    pub fn read(&self, mut faults: Faults, path: &str, settings: &CampaignSettings) -> Result<CommandKind, Problem> {
        check_campaign(&self.campaign_id, path, &mut faults);
        let reason = faults.optional("pauseReason", &self.pause_reason, |text| PauseReason::parse(text));
        let hold_id = faults.optional("holdId", &self.hold_id, |text| {
            Uuid::try_parse(text).map_err(|_| Fault::new("not-a-uuid", "must be the id of a hold"))
        });
        let max_agents = faults.optional("maxAgents", &self.max_agents, |agents| Ok(*agents));
        check_agents(max_agents, settings.carrier_limit, &mut faults);
        let force = faults.optional("force", &self.force, |force| Ok(*force)).unwrap_or_default();
        faults.unknown(&self.unknown);
        faults.finish(Some(CommandKind::Resume { reason, hold_id, max_agents, force }))
    }
}

/// Reads the id of a campaign that is paused or resumed: a UUID, as people write it.
///
/// # Errors
/// `not-a-uuid` for anything else.
pub fn parse_campaign_uuid(text: &str) -> Result<CampaignId, Fault> {
    CampaignId::parse(text)
        .ok()
        .filter(CampaignId::is_uuid)
        .ok_or_else(|| Fault::new("not-a-uuid", "must be a UUID such as 0192f0c4-1111-7000-8000-000000000001"))
}

fn check_campaign(member: &Member<String>, path: &str, faults: &mut Faults) {
    faults.optional("campaignId", member, |text| {
        let (named, of_path) = (CampaignId::parse(text).ok(), CampaignId::parse(path).ok());
        if named.is_some() && named == of_path {
            return Ok(());
        }
        Err(Fault::new("another-campaign", "must be the campaign of the path"))
    });
}

fn resume_time(text: &str, now: Timestamp) -> Result<Timestamp, Fault> {
    let at = parse_instant(text)?;
    if at > now { Ok(at) } else { Err(Fault::new("in-the-past", "must lie in the future")) }
}

/// A hold that keeps a campaign from dialing
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Hold)]
pub struct HoldView {
    id: Uuid,
    pause_reason: PauseReason,
    compliance_hold: bool,
    triggered_by: Trigger,
    placed_by: Actor,
    placed_at: Timestamp,
    /// When it lifts itself; null: only by a command.
    scheduled_resume_time: Option<Timestamp>,
}

impl From<&Hold> for HoldView {
    fn from(hold: &Hold) -> Self {
        Self {
            id: hold.id,
            pause_reason: hold.reason,
            compliance_hold: hold.compliance,
            triggered_by: hold.triggered_by,
            placed_by: hold.placed_by.clone(),
            placed_at: hold.placed_at,
            scheduled_resume_time: hold.ends_at,
        }
    }
}

/// What came of a command
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = CommandOutcome)]
pub struct CommandView {
    #[schema(value_type = String)]
    campaign_id: CampaignId,
    /// What CXone showed before; null where it was not asked or did not answer.
    previous_state: Option<CampaignState>,
    /// What CXone last showed or confirmed; null where that is not known.
    new_state: Option<CampaignState>,
    pub status: Status,
    /// Those that keep it from dialing now.
    holds: Vec<HoldView>,
    /// When the last of them ends; null: never by itself.
    scheduled_resume_time: Option<Timestamp>,
    /// What was asked for, where the regulatory window is closed then.
    resume_deferred_from: Option<Timestamp>,
    /// Callbacks that are scheduled for a time from now on that the hold of this pause covers; null for a resume.
    affected_callbacks: Option<u32>,
    /// From the command's arrival to CXone's confirmation, or to this answer.
    latency_ms: i64,
    /// The entry of the audit log.
    audit_id: Option<Uuid>,
    /// What kept CXone from confirming it.
    failure: Option<Failure>,
}

/// What is to be said of a command beside what came of it.
pub struct Commanded {
    pub arrived_at: Timestamp,
    pub resume_deferred_from: Option<Timestamp>,
    pub affected_callbacks: Option<u32>,
}

impl CommandView {
    /// From what the work on a command has come to.
    pub fn of(report: &Report, about: &Commanded, now: Timestamp) -> Self {
        Self {
            campaign_id: report.campaign_id.clone(),
            previous_state: report.previous,
            new_state: report.state,
            status: report.status,
            holds: report.holds.iter().map(HoldView::from).collect(),
            scheduled_resume_time: report.resumes_at,
            resume_deferred_from: about.resume_deferred_from,
            affected_callbacks: about.affected_callbacks,
            latency_ms: now.duration_since(about.arrived_at).as_millis().try_into().unwrap_or(i64::MAX),
            audit_id: report.audit_id,
            failure: report.failure.clone(),
        }
    }
}

/// What a campaign's dialer did lately
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = AnswerRate)]
struct AnswerRateView {
    /// The length of the sliding window.
    window_ms: u64,
    attempts: u64,
    answers: u64,
    /// Answers by attempts, 0 to 1; null without an attempt.
    rate: Option<f64>,
    /// Since when events count: the campaign's last start by Ringback.
    counted_from: Option<Timestamp>,
}

impl AnswerRateView {
    fn of(campaign: &Campaign) -> Self {
        let window = campaign.settings.answer_rate.map_or(DEFAULT_WINDOW, |guard| guard.window());
        Self {
            window_ms: u64::try_from(window.as_millis()).unwrap_or(u64::MAX),
            attempts: campaign.counts.attempts,
            answers: campaign.counts.answers,
            rate: campaign.counts.rate(),
            counted_from: campaign.counted_from,
        }
    }
}

/// A campaign
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Campaign)]
pub struct CampaignView {
    #[schema(value_type = String)]
    campaign_id: CampaignId,
    /// What CXone last showed; null where it never was asked.
    state: Option<CampaignState>,
    /// When it did.
    state_seen_at: Option<Timestamp>,
    /// Whether CXone is still to be brought to what the holds and an accepted resume say.
    pending: bool,
    /// Those that keep it from dialing now; none: it may dial.
    holds: Vec<HoldView>,
    /// When the last of them ends; null: never by itself, or nothing holds it.
    next_resume: Option<Timestamp>,
    answer_rate: AnswerRateView,
    settings: SettingsView,
    /// What the last attempt to change it in CXone met with.
    failure: Option<Failure>,
}

impl CampaignView {
    /// As it is shown at this moment.
    pub fn of(campaign: &Campaign, now: Timestamp) -> Self {
        Self {
            campaign_id: campaign.id.clone(),
            state: campaign.seen.map(|(state, _)| state),
            state_seen_at: campaign.seen.map(|(_, at)| at),
            pending: campaign.is_pending(now),
            holds: campaign.in_force(now).map(HoldView::from).collect(),
            next_resume: campaign.resumes_at(now),
            answer_rate: AnswerRateView::of(campaign),
            settings: SettingsView::from(&campaign.settings),
            failure: campaign.failure.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ID: &str = "0192f0c4-1111-7000-8000-000000000001";

    fn read(body: Value) -> Result<Pause, Vec<String>> {
        let request: PauseRequest = serde_json::from_value(body).unwrap();
        let placing = Placing {
            id: Uuid::nil(),
            by: Actor::operator(),
            request_id: "r-1".into(),
            now: "2026-11-20T15:00:00Z".parse().unwrap(),
        };
        request.read(Faults::new(), ID, &CommandContext::default(), placing).map_err(|problem| {
            let errors = problem.body(None, None)["errors"].clone();
            let text = |fault: &Value, name: &str| fault[name].as_str().unwrap().to_owned();
            let faults = errors.as_array().unwrap().iter();
            faults.map(|fault| format!("{} {}", text(fault, "pointer"), text(fault, "code"))).collect()
        })
    }

    fn pause() -> Value {
        json!({
            "pauseReason": "CARRIER_THROTTLE", "complianceHold": false, "maxAgents": 25,
            "scheduledResumeTime": "2026-11-20T18:00:00-05:00",
            "regulatoryWindow": {"startTime": "9:00", "endTime": "21:00", "timezone": "America/New_York"},
            "carrierLimit": {"maxConcurrentCalls": 100, "maxAgents": 30},
        })
    }

    fn with(members: Value) -> Value {
        let mut body = pause();
        body.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        body
    }

    #[test]
    fn a_resume_time_outside_the_window_is_moved_to_its_next_opening() {
        let kept = read(pause()).unwrap();
        assert_eq!(kept.resume_deferred_from, None);
        let late = read(with(json!({"scheduledResumeTime": "2026-11-20T22:30:00-05:00"}))).unwrap();
        let at = |text: &str| Some(text.parse::<Timestamp>().unwrap());
        assert_eq!(late.hold.ends_at, at("2026-11-21T14:00:00Z"));
        assert_eq!(late.resume_deferred_from, at("2026-11-21T03:30:00Z"));
    }

    #[test]
    fn every_fault_of_a_pause_is_found_at_once() {
        let bad = json!({
            "campaignId": "0192f0c4-1111-7000-8000-000000000002", "pauseReason": "TIRED", "complianceHold": true,
            "maxAgents": -1, "regulatoryWindow": {"startTime": "24:00", "endTime": "9:5", "timezone": "Mars"},
            "carrierLimit": {"maxConcurrentCalls": 0, "maxAgents": 0}, "scheduledResumeTime": null, "why": 1,
        });
        assert_eq!(
            read(bad).unwrap_err(),
            [
                "/campaignId another-campaign",
                "/pauseReason not-a-pause-reason",
                "/scheduledResumeTime required",
                "/maxAgents wrong-type",
                "/regulatoryWindow/startTime not-a-time-of-day",
                "/regulatoryWindow/endTime not-a-time-of-day",
                "/regulatoryWindow/timezone not-a-time-zone",
                "/carrierLimit/maxConcurrentCalls out-of-range",
                "/carrierLimit/maxAgents out-of-range",
                "/why unknown-member",
            ]
        );
        for (members, fault) in [
            (json!({"maxAgents": 31}), "/maxAgents over-carrier-limit"),
            (json!({"maxAgents": null}), "/maxAgents required"),
            (json!({"carrierLimit": null}), "/carrierLimit required"),
            (json!({"regulatoryWindow": null}), "/regulatoryWindow required"),
            (json!({"regulatoryWindow": 7}), "/regulatoryWindow wrong-type"),
            (json!({"scheduledResumeTime": "2026-11-20T10:00:00-05:00"}), "/scheduledResumeTime in-the-past"),
            (json!({"scheduledResumeTime": "2026-11-20T18:00:00"}), "/scheduledResumeTime no-offset"),
            (json!({"complianceHold": "yes"}), "/complianceHold wrong-type"),
        ] {
            assert_eq!(read(with(members)).unwrap_err(), [fault]);
        }
    }

    #[test]
    fn a_campaign_that_is_paused_has_a_uuid() {
        assert_eq!(parse_campaign_uuid(&ID.to_uppercase()), parse_campaign_uuid(ID));
        assert_eq!(parse_campaign_uuid(ID).unwrap().as_str(), ID);
        let too_many_forms = ["", "campaign", "a1b2c3d4-e5f6-7890-g1h2-i3j4k5l6m7n8", &ID.replace('-', "")];
        for text in too_many_forms {
            assert_eq!(parse_campaign_uuid(text).unwrap_err().code, "not-a-uuid", "{text}");
        }
    }
}
