//! A campaign, its holds, its settings and its commands, and the rules about them. Pure: time and randomness are passed in.

mod answer_rate;
mod business_hours;
mod campaign;
mod changes;
mod command;
#[cfg(test)]
mod command_test;
mod entries;
mod hold;
mod holding;
mod last_sent;
mod observe;
mod plan;
#[cfg(test)]
mod plan_test;
mod regulatory_window;
mod report;
mod restrictions;
mod schedule;
mod settings;

pub use answer_rate::{AnswerRateGuard, AnswerRateSource, Counts, DEFAULT_WINDOW};
pub use business_hours::{BusinessHours, BusinessHoursView, parse_weekday};
pub use campaign::{Campaign, Timing};
pub use changes::Changes;
pub use command::{Command, CommandKind, Refusal};
pub use hold::{Hold, PauseReason, Trigger};
pub use observe::NotApplied;
pub use plan::Request;
pub use regulatory_window::{RegulatoryWindowView, first_open};
pub use report::{Failure, Report, Status};
pub use restrictions::{HoldScope, PlacementRefusal, PlacementRules};
pub use settings::{CampaignSettings, CarrierLimit};
