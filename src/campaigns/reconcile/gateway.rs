//! The campaigns in CXone, over its client. Pauses and starts have the highest priority.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;

use crate::campaigns::model::Timing;
use crate::campaigns::ports::{CampaignGateway, SendCheck, Urgency};
use crate::cxone::{Class, Cxone, CxoneError, DialerCampaign, Endpoint, RequestContext};
use crate::trace::Traceparent;
use crate::types::CampaignId;

/// The pause for the close of a window is sent at least this long before it.
const MIN_PAUSE_LEAD: Duration = Duration::from_secs(2);
/// The assumed time for a token and the requests of a pause together, where CXone was not asked about a campaign lately.
const DEFAULT_ROUND_TRIPS: Duration = Duration::from_secs(4);
/// A request may take effect inside CXone for this long after its timeout.
const LATE_EFFECT: Duration = Duration::from_secs(15);

/// The campaigns in CXone.
#[derive(Clone)]
pub struct CxoneGateway {
    cxone: Arc<Cxone>,
    check_interval: Duration,
}

impl CxoneGateway {
    /// `check_interval` is the interval between checks of a held campaign.
    pub fn new(cxone: Arc<Cxone>, check_interval: Duration) -> Self {
        Self { cxone, check_interval }
    }

    /// Whether a routine check could be sent now, as far as this replica knows.
    pub fn may_check(&self) -> bool {
        self.cxone.looks_open(Class::Routine, &[Endpoint::Campaigns])
    }
}

impl CampaignGateway for CxoneGateway {
    async fn read(
        &self,
        id: &CampaignId,
        timeout: Option<Duration>,
        urgency: Urgency,
        trace: &Traceparent,
    ) -> Result<DialerCampaign, CxoneError> {
        let class = match urgency {
            Urgency::Due => Class::Control,
            Urgency::Routine => Class::Routine,
        };
        let read = self.cxone.read_campaign(id, RequestContext { class, trace });
        let Some(timeout) = timeout else { return read.await };
        tokio::time::timeout(timeout, read).await.unwrap_or_else(|_| {
            let reason = format!("no answer in {} ms", timeout.as_millis());
            Err(CxoneError::Unavailable { retry_after: None, reason })
        })
    }

    async fn update(
        &self,
        id: &CampaignId,
        target: &DialerCampaign,
        check: &impl SendCheck,
        trace: &Traceparent,
    ) -> Result<DialerCampaign, CxoneError> {
        let context = RequestContext { class: Class::Control, trace };
        let still_wanted = || check.is_still_wanted().boxed();
        self.cxone.update_campaign(id, target, context, &still_wanted).boxed().await
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }

    fn timing(&self) -> Timing {
        let slowest_request = self.cxone.slowest_recent(Endpoint::Campaigns);
        let known = slowest_request * self.cxone.capabilities().requests_of_a_pause
            + self.cxone.slowest_recent(Endpoint::Token);
        let round_trips = if slowest_request.is_zero() { known.max(DEFAULT_ROUND_TRIPS) } else { known };
        Timing {
            pause_lead: MIN_PAUSE_LEAD + round_trips,
            uncertain_for: self.cxone.call_within() + LATE_EFFECT,
            check_interval: self.check_interval,
        }
    }
}
