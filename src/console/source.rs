//! What the console shows that no operation of the API has. The service provides it.

use std::collections::HashMap;
use std::time::Duration;

use futures::future::BoxFuture;
use jiff::Timestamp;

use crate::types::{AllowedCampaigns, CampaignId};

/// Provides it. No answer has anything of a person.
pub trait Source: Send + Sync {
    /// The state of the service now.
    fn status(&self) -> BoxFuture<'_, Result<ServiceStatus, sqlx::Error>>;

    /// The campaigns for which callbacks were placed last, the latest first.
    fn placed_campaigns(&self, allowed: AllowedCampaigns) -> BoxFuture<'_, Result<Vec<CampaignId>, sqlx::Error>>;

    /// The coming hours of a campaign, in order of time. Empty where CXone has no forecast.
    ///
    /// An error says in words why there are none.
    fn coming_hours(&self, campaign: CampaignId) -> BoxFuture<'_, Result<Vec<ComingHour>, String>>;

    /// What the dialers of these campaigns did in the windows of their answer rates.
    fn dialed(
        &self,
        campaigns: Vec<CampaignId>,
    ) -> BoxFuture<'_, Result<HashMap<CampaignId, Vec<Dialed>>, sqlx::Error>>;
}

/// The state of the service.
#[derive(Clone, Debug)]
pub struct ServiceStatus {
    pub cxone: Vec<EndpointStatus>,
    /// When the oldest callback that CXone does not have yet was accepted.
    pub oldest_waiting: Option<Timestamp>,
    pub replicas: i64,
    /// How long Postgres took to answer.
    pub postgres: Duration,
    pub failing_webhooks: i64,
    pub disabled_webhooks: i64,
}

impl ServiceStatus {
    /// A text that stays the same as long as nothing happens: without what changes with every request.
    pub fn fingerprint(&self) -> String {
        let endpoints = self.cxone.iter().map(|endpoint| format!("{} {:?}", endpoint.name, endpoint.state));
        let endpoints = endpoints.collect::<Vec<_>>().join(", ");
        format!("{endpoints}; {} {} {}", self.replicas, self.failing_webhooks, self.disabled_webhooks)
    }
}

/// A part of CXone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndpointStatus {
    pub name: &'static str,
    pub state: EndpointState,
}

/// Whether requests are sent to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndpointState {
    Works,
    /// It does not respond: only a probe is sent at this time.
    Down(Timestamp),
    /// It refuses the credentials of the service, which tries again at this time.
    Unauthorized(Timestamp),
    /// It has asked for a pause until this time.
    BackOff(Timestamp),
}

/// An hour of a campaign's forecast.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ComingHour {
    pub start: Timestamp,
    /// The calls that its agents can take.
    pub capacity: f64,
    /// The calls that CXone expects besides callbacks.
    pub forecast: f64,
    /// The callbacks that are placed in it.
    pub placed: u32,
    /// The places that the plan keeps for callbacks that are expected.
    pub planned: f64,
}

/// What the dialers did in a part of the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dialed {
    pub at: Timestamp,
    pub attempts: u64,
    pub answers: u64,
}
