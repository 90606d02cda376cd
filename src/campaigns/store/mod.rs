//! Campaigns, their holds and their commands in Postgres.

mod campaigns;
mod commands;
mod leases;
mod repository;
mod risk;
mod rules_cache;
mod settings;
#[cfg(test)]
mod settings_test;
mod statistics;
#[cfg(test)]
mod statistics_test;
#[cfg(test)]
mod tests;
mod waiting;

pub use campaigns::CampaignStore;
pub use commands::CommandContext;
pub use risk::HeldPeriod;
pub use rules_cache::RulesCache;
pub use settings::{Saved, SettingsStore};
pub use statistics::{CommandCounts, CommandResults};
