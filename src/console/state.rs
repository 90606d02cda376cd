//! What the routes of the console share.

use std::sync::Arc;

use super::client::Api;
use super::live::Live;
use super::session::Sessions;
use crate::clock::Clock;
use crate::http::RefusalLog;

/// The state of all routes.
pub struct Console {
    pub api: Api,
    pub sessions: Sessions,
    pub live: Live,
    /// Records sign-ins that are refused.
    pub refusals: Arc<dyn RefusalLog>,
    pub clock: Clock,
}
