//! CXone as campaigns see it: what is due in the most urgent class, for a pause outranks everything else.

use std::sync::Arc;
use std::time::Duration;

use super::control::{Dialer, Urgency};
use crate::cxone::{Asker, Class, Cxone, CxoneError, DialerCampaign};
use crate::trace::Traceparent;
use crate::types::CampaignId;

/// The real one.
#[derive(Clone)]
pub struct CxoneDialer(pub Arc<Cxone>);

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
            Urgency::Routine => Class::Waiting,
        };
        let read = self.0.read_campaign(id, Asker { class, trace });
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
        trace: &Traceparent,
    ) -> Result<DialerCampaign, CxoneError> {
        self.0.update_campaign(id, wanted, Asker { class: Class::Control, trace }, &async || true).await
    }

    async fn rest(&self, wait: Duration) {
        tokio::time::sleep(wait).await;
    }
}
