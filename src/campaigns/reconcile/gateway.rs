//! CXone as campaigns see it: what is due in the most urgent class, for a pause outranks everything else.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;

use super::reconciler::{Check, Dialer, Urgency};
use crate::campaigns::model::Pace;
use crate::cxone::{Asker, Class, Cxone, CxoneError, DialerCampaign, Endpoint};
use crate::trace::Traceparent;
use crate::types::CampaignId;

/// A pause for the close of a window is sent at least so long before it.
const LEAST_LEAD: Duration = Duration::from_secs(2);
/// A token, a read and a write are taken to last so long together where CXone was not asked about a campaign lately.
const UNKNOWN_ROUND: Duration = Duration::from_secs(4);
/// After its last moment a request may still be on its way inside CXone for so long.
const LATE_EFFECT: Duration = Duration::from_secs(15);

/// The real one.
#[derive(Clone)]
pub struct CxoneDialer {
    cxone: Arc<Cxone>,
    check_every: Duration,
}

impl CxoneDialer {
    /// A campaign that is held is checked so often.
    pub fn new(cxone: Arc<Cxone>, check_every: Duration) -> Self {
        Self { cxone, check_every }
    }

    /// Whether a check would be let out now, as far as this replica knows.
    pub fn may_check(&self) -> bool {
        self.cxone.looks_open(Class::Routine, &[Endpoint::Campaigns])
    }
}

impl Dialer for CxoneDialer {
    async fn read(
        &self,
        id: &CampaignId,
        within: Option<Duration>,
        urgency: Urgency,
        trace: &Traceparent,
    ) -> Result<DialerCampaign, CxoneError> {
        let class = match urgency {
            Urgency::Due => Class::Control,
            Urgency::Routine => Class::Routine,
        };
        let read = self.cxone.read_campaign(id, Asker { class, trace });
        let Some(within) = within else { return read.await };
        tokio::time::timeout(within, read).await.unwrap_or_else(|_| {
            let reason = format!("no answer in {} ms", within.as_millis());
            Err(CxoneError::Unavailable { retry_after: None, reason })
        })
    }

    async fn write(
        &self,
        id: &CampaignId,
        wanted: &DialerCampaign,
        check: &impl Check,
        trace: &Traceparent,
    ) -> Result<DialerCampaign, CxoneError> {
        let asker = Asker { class: Class::Control, trace };
        let still_wanted = || check.is_right().boxed();
        self.cxone.update_campaign(id, wanted, asker, &still_wanted).boxed().await
    }

    async fn rest(&self, wait: Duration) {
        tokio::time::sleep(wait).await;
    }

    fn pace(&self) -> Pace {
        let of_campaigns = self.cxone.slowest_lately(Endpoint::Campaigns);
        // A read and a write; and a token, where there is none.
        let known = of_campaigns * 2 + self.cxone.slowest_lately(Endpoint::Token);
        let slowest = if of_campaigns.is_zero() { known.max(UNKNOWN_ROUND) } else { known };
        Pace {
            lead: LEAST_LEAD + slowest,
            doubt: self.cxone.call_within() + LATE_EFFECT,
            check_every: self.check_every,
        }
    }
}
