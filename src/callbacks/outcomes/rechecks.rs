//! Looks again for the contacts of callbacks that were created after a doubt: an earlier request may have created another one,
//! which CXone shows later.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use uuid::Uuid;

use super::{OutcomePoller, PollError};
use crate::cxone::{Class, Outcomes, RequestContext};
use crate::trace::{Span, Traceparent};

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
        for callback in due {
            let skill = match callback.skill {
                Some(skill) => Ok(skill),
                None => outcomes.skill_of(&callback.campaign_id, context).await,
            };
            match skill {
                Ok(skill) => skills.entry(skill).or_default().push(callback.id),
                Err(error) => tracing::warn!(callback.id = %callback.id, error = %error, "the skill is not known"),
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
