//! A campaign, its holds, its settings and its commands, and what follows from them. Pure: time and randomness are passed
//! in.

mod answer_rate;
mod business_hours;
mod campaign;
mod command;
mod entries;
mod hold;
mod last_sent;
mod plan;
#[cfg(test)]
mod plan_test;
mod regulatory_window;
mod report;
mod restrictions;
mod schedule;
mod settings;

pub use answer_rate::{AnswerRateGuard, Counts, DEFAULT_WINDOW};
pub use business_hours::{BusinessHours, BusinessHoursView, parse_weekday};
pub use campaign::{Campaign, Changes, Failure, Pace};
pub use command::{Command, Ending, Order, Refusal};
pub use hold::{Hold, PauseReason, Trigger};
pub use plan::{NotDone, Request};
pub use regulatory_window::{RegulatoryWindowView, first_open};
pub use report::{Report, Status};
pub use restrictions::{PlacementRefusal, PlacementRules, Restrictions};
pub use settings::{CampaignSettings, CarrierLimit};
