//! What campaigns have to know of callbacks. The callbacks' own slice keeps them, and answers.

use futures::future::BoxFuture;
use jiff::Timestamp;

use crate::types::CampaignId;

/// The callbacks for which CXone has a contact.
pub trait ScheduledCallbacks: Send + Sync {
    /// How many of a campaign are to be called at `from` or later and, where it is given, before `until`.
    fn count<'a>(
        &'a self,
        campaign: &'a CampaignId,
        from: Timestamp,
        until: Option<Timestamp>,
    ) -> BoxFuture<'a, Result<u32, sqlx::Error>>;
}
