//! Looks again for the contacts of callbacks that were created after a doubt: an earlier request may have created another one,
//! which CXone shows later.

use std::collections::{BTreeMap, HashMap};

use jiff::SignedDuration;
use uuid::Uuid;

use super::{OutcomePoller, PollError};
use crate::cxone::{Class, CxoneError, Outcomes, RequestContext};
use crate::trace::{Span, Traceparent};
use crate::types::CampaignId;

/// A look that fails is repeated this much later.
const AGAIN_AFTER: SignedDuration = SignedDuration::from_secs(10);
/// The last look is this much before the call.
const AHEAD: SignedDuration = SignedDuration::from_secs(20);

impl OutcomePoller {
    /// Looks again where that is due. The callbacks of one skill share a request.
    pub(super) async fn recheck_due(&self, outcomes: Outcomes<'_>) -> Result<(), PollError> {
        let due = self.store.claim_rechecks(self.clock.now(), AGAIN_AFTER).await?;
        let span = Span::internal(None, "rechecks", Vec::new);
        let trace = span.traceparent().unwrap_or_else(|| Traceparent::root(self.clock.new_id()));
        let context = RequestContext { class: Class::Background, trace: &trace };
        let mut skills: BTreeMap<i64, Vec<Uuid>> = BTreeMap::new();
        let mut asked: HashMap<CampaignId, Option<i64>> = HashMap::new();
        for callback in due {
            let known = callback.skill.map(Some).or_else(|| asked.get(&callback.campaign_id).copied());
            let skill = match known {
                Some(skill) => skill,
                None => {
                    let skill = skill_of(outcomes, &callback.campaign_id, context).await?;
                    asked.insert(callback.campaign_id.clone(), skill);
                    skill
                }
            };
            if let Some(skill) = skill {
                skills.entry(skill).or_default().push(callback.id);
            }
        }
        for (skill, ids) in skills {
            if self.cleaned(outcomes, skill, context).await?.is_some() {
                self.store.complete_rechecks(&ids, self.clock.now(), AHEAD).await?;
            }
        }
        Ok(())
    }
}

/// The skill of a campaign. None where CXone refuses to show it: the other campaigns go on.
async fn skill_of(
    outcomes: Outcomes<'_>,
    campaign: &CampaignId,
    context: RequestContext<'_>,
) -> Result<Option<i64>, CxoneError> {
    match outcomes.skill_of(campaign, context).await {
        Err(error) if error.came_after_authorization() => {
            tracing::warn!(campaign.id = %campaign, error = %error, "the skill is not known");
            Ok(None)
        }
        skill => skill.map(Some),
    }
}
