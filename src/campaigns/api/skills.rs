//! The skills of CXone in a campaign's settings, as they are sent, and the rules that only CXone can check.

use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;
use validator::Validate;

use super::command::RETRY_AFTER_SECONDS;
use crate::campaigns::model::{AnswerRateSource, CampaignSettings};
use crate::cxone::{Class, Cxone, CxoneError, RequestContext as CxoneContext, SkillMapping};
use crate::http::validation::{Element, JsonType, Member, Unknown};
use crate::http::{Problem, ProblemKind, RequestContext};
use crate::types::Fault;

/// The skills of CXone that belong to a campaign
#[derive(Clone, Debug, Deserialize, Validate, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = NewSkillMapping)]
pub struct SkillMappingRequest {
    /// The outbound skill that takes the callbacks.
    #[serde(default)]
    #[schema(value_type = u32, required, minimum = 1, example = 4001)]
    #[validate(required, range(min = 1))]
    skill_id: Member<u32>,
    /// The campaign of CXone. Its skills are paused and resumed, unless `skillIds` names them.
    #[serde(default)]
    #[schema(value_type = Option<u32>, minimum = 1, example = 101)]
    #[validate(range(min = 1))]
    campaign_id: Member<u32>,
    /// The skills that are paused and resumed.
    #[serde(default)]
    #[schema(value_type = Option<Vec<u32>>, max_items = 100, example = json!([4001]))]
    #[validate(length(max = 100, message = "must have at most 100 skills"), nested)]
    skill_ids: Member<Vec<Element<SkillId>>>,
    #[serde(flatten)]
    #[schema(ignore)]
    #[validate(nested)]
    unknown: Unknown,
}

impl JsonType for SkillMappingRequest {
    const NAME: &'static str = "an object";
}

/// The number of a skill.
#[derive(Clone, Debug, Deserialize)]
#[serde(transparent)]
struct SkillId(u32);

impl JsonType for SkillId {
    const NAME: &'static str = "a whole number, not negative";

    fn read(value: Value) -> Option<Self> {
        u32::read(value).filter(|number| i32::try_from(*number).is_ok()).map(Self)
    }
}

impl Validate for SkillId {
    fn validate(&self) -> Result<(), validator::ValidationErrors> {
        Ok(())
    }
}

impl SkillMappingRequest {
    /// The mapping; `None` unless the request was validated.
    pub fn mapping(&self) -> Option<SkillMapping> {
        let skills = self.skill_ids.value().into_iter().flatten();
        Some(SkillMapping {
            skill_id: i64::from(*self.skill_id.value()?),
            campaign_id: self.campaign_id.value().copied().map(i64::from),
            skill_ids: skills.filter_map(|skill| skill.value().map(|skill| i64::from(skill.0))).collect(),
        })
    }
}

/// Checks what only CXone knows: that the skill takes callbacks, and that there are lists to search and answer rates to read.
pub async fn verify_at_cxone(
    cxone: &Cxone,
    settings: &CampaignSettings,
    context: &RequestContext,
) -> Result<(), Problem> {
    if settings.check_do_not_call && !cxone.capabilities().do_not_call_lists {
        let detail = "checkDoNotCall must be false: the API of CXone in use has no do-not-call lists";
        return Err(Problem::new(ProblemKind::NoDoNotCallLists, detail));
    }
    let source = settings.answer_rate.map(|guard| guard.source).unwrap_or_default();
    if source == AnswerRateSource::Cxone && cxone.dialer_intervals().is_none() {
        let detail = "answerRate.source must be \"events\": the API of CXone in use reports no calls of dialers";
        return Err(Problem::new(ProblemKind::NoAnswerRates, detail));
    }
    let Some(mapping) = &settings.nice else { return Ok(()) };
    let request = CxoneContext { class: Class::Waiting, trace: &context.traceparent };
    match cxone.verify_skills(mapping, request).await {
        Ok(()) => Ok(()),
        Err(CxoneError::Rejected { reason, .. } | CxoneError::NotFound { reason }) => {
            Err(Problem::fault("/nice/skillId", Fault::new("skill-refused", reason)))
        }
        Err(error) => {
            let detail = format!("the skill could not be checked: {error}");
            Err(Problem::new(ProblemKind::Unavailable, detail).retry_after(RETRY_AFTER_SECONDS.into()))
        }
    }
}
