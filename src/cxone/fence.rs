//! The hours of skills in CXone itself, as a second safeguard: they hold even while Ringback is down.

use super::client::Cxone;
use super::error::CxoneError;
use super::model::{RequestContext, SkillHours};
use crate::types::{CampaignId, DailyWindow};

impl Cxone {
    /// The hours that the campaign's skills should have in CXone, so that they dial in the window only. With `apply`, they
    /// are written where they differ.
    ///
    /// # Errors
    /// The failure of CXone. `Rejected` where the API has no such hours, or cannot express the window. The call is safe to
    /// repeat.
    pub async fn fence(
        &self,
        campaign: &CampaignId,
        window: &DailyWindow,
        apply: bool,
        context: RequestContext<'_>,
    ) -> Result<Vec<SkillHours>, CxoneError> {
        self.wire.fence(&self.transport, campaign, window, apply, context).await
    }
}
