//! What the routes of the console share.

use std::sync::Arc;

use url::Url;

use super::client::Api;
use super::live::Live;
use super::session::Sessions;
use super::source::Source;
use crate::clock::Clock;
use crate::http::RefusalLog;
use crate::oidc::CodeFlow;

/// The state of all routes.
pub struct Console {
    pub api: Api,
    pub sessions: Sessions,
    pub live: Live,
    pub source: Arc<dyn Source>,
    /// Where browsers reach the service, if that is known.
    pub address: Option<Url>,
    /// How people sign in at the identity provider.
    pub code_flow: Option<Arc<CodeFlow>>,
    /// Records sign-ins that are refused.
    pub refusals: Arc<dyn RefusalLog>,
    pub clock: Clock,
}
