//! What became of the calls, where CXone reports it.

use jiff::Timestamp;

use super::client::Cxone;
use super::error::CxoneError;
use super::gate::StillWanted;
use super::model::{CallPage, Disposition, RequestContext, WaitingContact};
use super::wire::OutcomeReports;
use crate::types::CampaignId;

/// The operations of a CXone that reports outcomes.
#[derive(Clone, Copy)]
pub struct Outcomes<'a> {
    cxone: &'a Cxone,
    reports: &'a dyn OutcomeReports,
}

impl Cxone {
    /// What became of the calls. None where CXone does not report it.
    pub fn outcomes(&self) -> Option<Outcomes<'_>> {
        self.wire.outcomes().map(|reports| Outcomes { cxone: self, reports })
    }
}

impl Outcomes<'_> {
    /// The outbound calls of the tenant that were completed or changed since then, without the first `skip`.
    ///
    /// # Errors
    /// The failure of CXone. The call is safe to repeat.
    pub async fn completed_calls(
        &self,
        since: Timestamp,
        skip: u32,
        context: RequestContext<'_>,
    ) -> Result<CallPage, CxoneError> {
        let read = self.reports.completed_calls(&self.cxone.transport, since, skip, context);
        self.cxone.in_time(CxoneError::unavailable, read).await
    }

    /// The dispositions of the tenant.
    ///
    /// # Errors
    /// The failure of CXone. The call is safe to repeat.
    pub async fn dispositions(&self, context: RequestContext<'_>) -> Result<Vec<Disposition>, CxoneError> {
        let read = self.reports.dispositions(&self.cxone.transport, context);
        self.cxone.in_time(CxoneError::unavailable, read).await
    }

    /// The skill that makes the calls of the campaign's callbacks.
    ///
    /// # Errors
    /// The failure of CXone. The call is safe to repeat.
    pub async fn skill_of(&self, campaign: &CampaignId, context: RequestContext<'_>) -> Result<i64, CxoneError> {
        let read = self.reports.skill_of(&self.cxone.transport, campaign, context);
        self.cxone.in_time(CxoneError::unavailable, read).await
    }

    /// The contacts of a skill that were created by Ringback and are still to be called.
    ///
    /// # Errors
    /// The failure of CXone. The call is safe to repeat.
    pub async fn waiting(&self, skill: i64, context: RequestContext<'_>) -> Result<Vec<WaitingContact>, CxoneError> {
        let read = self.reports.waiting(&self.cxone.transport, skill, context);
        self.cxone.in_time(CxoneError::unavailable, read).await
    }

    /// Deletes a contact that is still to be called, unless the answer of `still_wanted` is no. Returns whether it was there.
    ///
    /// # Errors
    /// The failure of CXone. The call is safe to repeat. `Superseded` where the deletion is not wanted any more.
    pub async fn withdraw(
        &self,
        number: i64,
        why: &str,
        context: RequestContext<'_>,
        still_wanted: &dyn StillWanted,
    ) -> Result<bool, CxoneError> {
        let change = self.reports.withdraw(&self.cxone.transport, number, why, context, still_wanted);
        self.cxone.in_time(CxoneError::unavailable, change).await
    }
}
