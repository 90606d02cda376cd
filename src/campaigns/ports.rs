//! What campaigns need of Postgres, of CXone and of callbacks.

use std::future::Future;
use std::time::Duration;

use futures::future::BoxFuture;
use jiff::Timestamp;
use uuid::Uuid;

use super::model::{Campaign, Changes, Report, Timing};
use crate::audit::Entry;
use crate::cxone::{CxoneError, DialerCampaign};
use crate::trace::Traceparent;
use crate::types::CampaignId;

/// Where campaigns are stored.
pub trait CampaignRepository: Send + Sync {
    /// The stored campaign. It is created where it is missing. An expired lease is not shown.
    fn load(&self, id: &CampaignId) -> impl Future<Output = Result<Campaign, sqlx::Error>> + Send;

    /// Stores the campaign and its changes together. Returns false, and stores nothing, where the campaign is at another
    /// revision, `lease` is given and no longer held, or the command of the changes was executed before. With `release`
    /// the lease ends.
    fn save(
        &self,
        campaign: &Campaign,
        changes: Changes,
        lease: Option<Uuid>,
        release: bool,
    ) -> impl Future<Output = Result<bool, sqlx::Error>> + Send;

    /// Ends the lease, and stores an audit entry where one is given.
    fn release(
        &self,
        id: &CampaignId,
        lease: Uuid,
        entry: Option<Entry>,
    ) -> impl Future<Output = Result<(), sqlx::Error>> + Send;

    /// The report of a command that was executed before.
    fn command_report(&self, command: Uuid) -> impl Future<Output = Result<Option<Report>, sqlx::Error>> + Send;
}

/// The priority of a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Urgency {
    /// A campaign is to be paused or started.
    Due,
    /// A routine check, which yields to what is due.
    Routine,
}

/// Decides, immediately before a request is sent, whether it should be.
pub trait SendCheck: Send + Sync {
    fn is_still_wanted(&self) -> impl Future<Output = bool> + Send;
}

/// The campaigns in CXone.
pub trait CampaignGateway: Send + Sync {
    /// Reads the campaign. Fails as unavailable after `timeout`.
    fn read(
        &self,
        id: &CampaignId,
        timeout: Option<Duration>,
        urgency: Urgency,
        trace: &Traceparent,
    ) -> impl Future<Output = Result<DialerCampaign, CxoneError>> + Send;

    /// Changes the campaign to `target`, unless `check` decides against it immediately before the request is sent.
    fn update(
        &self,
        id: &CampaignId,
        target: &DialerCampaign,
        check: &impl SendCheck,
        trace: &Traceparent,
    ) -> impl Future<Output = Result<DialerCampaign, CxoneError>> + Send;

    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send;

    /// How requests are to be timed now.
    fn timing(&self) -> Timing;
}

/// The callbacks for which CXone has a contact.
pub trait ScheduledCallbacks: Send + Sync {
    /// The number of a campaign's callbacks that are scheduled at `from` or later and, where `until` is given, before it.
    fn count<'a>(
        &'a self,
        campaign: &'a CampaignId,
        from: Timestamp,
        until: Option<Timestamp>,
    ) -> BoxFuture<'a, Result<u32, sqlx::Error>>;
}
