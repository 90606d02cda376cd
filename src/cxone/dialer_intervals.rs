//! How many calls dialers have made, where CXone reports it.

use jiff::Timestamp;

use super::client::Cxone;
use super::error::CxoneError;
use super::model::{DialerInterval, RequestContext};
use super::wire::DialerReports;
use crate::types::CampaignId;

/// The operations of a CXone that reports the calls of dialers by intervals.
#[derive(Clone, Copy)]
pub struct DialerIntervals<'a> {
    cxone: &'a Cxone,
    reports: &'a dyn DialerReports,
}

impl Cxone {
    /// The calls of dialers. None where CXone does not report them.
    pub fn dialer_intervals(&self) -> Option<DialerIntervals<'_>> {
        self.wire.dialer_reports().map(|reports| DialerIntervals { cxone: self, reports })
    }
}

impl DialerIntervals<'_> {
    /// The intervals of all skills of the tenant that begin from `start` on and before `end`: each interval of a skill once.
    ///
    /// # Errors
    /// The failure of CXone. The call is safe to repeat.
    pub async fn read(
        &self,
        start: Timestamp,
        end: Timestamp,
        context: RequestContext<'_>,
    ) -> Result<Vec<DialerInterval>, CxoneError> {
        let read = self.reports.dialer_intervals(&self.cxone.transport, (start, end), context);
        self.cxone.in_time(CxoneError::unavailable, read).await
    }

    /// The skills that dial for a campaign.
    ///
    /// # Errors
    /// The failure of CXone. The call is safe to repeat.
    pub async fn skills_of(&self, campaign: &CampaignId, context: RequestContext<'_>) -> Result<Vec<i64>, CxoneError> {
        let read = self.reports.dialer_skills(&self.cxone.transport, campaign, context);
        self.cxone.in_time(CxoneError::unavailable, read).await
    }
}
