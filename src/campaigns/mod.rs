//! Campaigns: the holds that keep them from dialing, and their state in CXone.

mod answer_rate;
mod api;
mod model;
mod ports;
mod reconcile;
mod store;

pub use answer_rate::{AnswerRateMonitor, AnswerRateStore, IntervalPoller, IntervalStore, Window};
pub use api::{Campaigns, LiveStates, event_routes, routes};
#[cfg(test)]
pub use model::CampaignSettings;
pub use model::{Counts, HoldScope, PlacementRefusal, PlacementRules};
pub use ports::ScheduledCallbacks;
pub use reconcile::{CampaignWorker, CxoneGateway};
pub use store::{CampaignStore, CommandCounts, CommandResults, HeldPeriod, RulesCache, SettingsStore};
