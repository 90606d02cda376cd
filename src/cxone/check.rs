//! What `ringback cxone check` reports: read-only requests to a tenant, and what their answers show.

use super::client::Cxone;
use super::model::{Check, RequestContext};

impl Cxone {
    /// Checks what the documents of CXone leave open, and that the credentials may do what is needed. Changes nothing.
    pub async fn check(&self, context: RequestContext<'_>) -> Vec<Check> {
        self.wire.check(&self.transport, context).await
    }
}
