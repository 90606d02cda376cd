//! Campaigns: the holds that keep them from dialing, and what CXone is told of it.

mod affected;
mod answer_rate;
mod api;
mod campaign;
mod command;
mod conductor;
mod control;
mod dialer;
mod entries;
mod hold;
mod last_sent;
mod model;
#[cfg(test)]
mod model_test;
mod plan;
#[cfg(test)]
mod plan_test;
mod report;
mod schedule;
mod store;

pub use affected::ScheduledCallbacks;
pub use answer_rate::{AnswerRates, Counts, RateStore, Window};
pub use api::{Campaigns, LiveStates, SettingsRoutes, event_routes, routes, settings_routes};
pub use conductor::Conductor;
pub use dialer::CxoneDialer;
pub use model::business_hours::BusinessHours;
pub use model::restrictions::{PlacementRefusal, PlacementRules, Restrictions};
pub use model::settings::CampaignSettings;
pub use store::settings::SettingsStore;
pub use store::{CampaignStore, Claimed, HeldTime};
