//! Campaigns: the holds that keep them from dialing, and what CXone is told of it.

mod affected;
mod answer_rate;
mod business_hours;
mod campaign;
mod command;
mod command_wire;
mod conductor;
mod control;
mod dialer;
mod entries;
mod events;
mod hold;
mod last_sent;
mod live_state;
#[cfg(test)]
mod model_test;
mod plan;
#[cfg(test)]
mod plan_test;
mod rate_store;
mod rates;
mod regulatory_window;
mod report;
mod restrictions;
mod routes;
mod schedule;
mod settings;
mod settings_routes;
mod settings_store;
mod settings_wire;
mod store;
mod watched;

pub use affected::ScheduledCallbacks;
pub use answer_rate::{Counts, Window};
pub use business_hours::BusinessHours;
pub use conductor::Conductor;
pub use dialer::CxoneDialer;
pub use events::routes as event_routes;
pub use live_state::LiveStates;
pub use rate_store::RateStore;
pub use rates::AnswerRates;
pub use restrictions::{PlacementRefusal, PlacementRules, Restrictions};
pub use routes::{Campaigns, routes};
pub use settings::CampaignSettings;
pub use settings_routes::{SettingsRoutes, settings_routes};
pub use settings_store::SettingsStore;
pub use store::{CampaignStore, Claimed, HeldTime};
