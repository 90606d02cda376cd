//! Brings the state of campaigns in CXone to what their holds say.

mod commands;
mod error;
mod gateway;
mod local_locks;
#[cfg(test)]
mod model_test;
mod queue;
mod reconciler;
mod worker;

pub use error::AttemptError;
pub use gateway::CxoneGateway;
pub use queue::log_report;
pub use worker::CampaignWorker;
