//! What this replica knows of CXone's condition without sending a request.

use std::time::Duration;

use super::budget::{Class, Decision, NewJob, QuotaUse};
use super::client::Cxone;
use super::endpoint::{Condition, Endpoint, EndpointCondition};
use super::error::CxoneError;

impl Cxone {
    /// Whether CXone responds and accepts the client.
    pub fn condition(&self) -> Condition {
        self.transport.gate.condition()
    }

    /// The condition of each endpoint, by its name.
    pub async fn endpoint_conditions(&self) -> Vec<(&'static str, EndpointCondition)> {
        self.transport.gate.endpoint_conditions().await
    }

    /// Whether requests to these endpoints would be sent now. Checks only what this replica knows, not the shared budget.
    /// The token endpoint is included where a token is needed, here and below.
    pub fn looks_open(&self, class: Class, endpoints: &[Endpoint]) -> bool {
        self.transport.gate.looks_open(class, &self.transport.needed(endpoints))
    }

    /// Whether requests are sent to these endpoints at all now. They are not while one is down or refuses the client.
    pub fn is_up(&self, endpoints: &[Endpoint]) -> bool {
        self.transport.gate.is_up(&self.transport.needed(endpoints))
    }

    /// Whether a job of background work with requests to these endpoints may start, or how long to wait.
    pub async fn may_start(&self, endpoints: &[Endpoint], job: NewJob) -> Decision {
        self.transport.gate.may_start(&self.transport.needed(endpoints), job).await
    }

    /// The use of the quota in the last minute, of all replicas.
    ///
    /// # Errors
    /// If Postgres is unavailable.
    pub async fn quota_use(&self) -> Result<QuotaUse, CxoneError> {
        self.transport.gate.quota_use().await
    }

    /// The duration of the slowest request to this endpoint that this replica sent in about the last ten minutes, until it
    /// was answered, failed or was cancelled; zero where there was none.
    pub fn slowest_recent(&self, endpoint: Endpoint) -> Duration {
        self.transport.gate.slowest_recent(endpoint)
    }
}
