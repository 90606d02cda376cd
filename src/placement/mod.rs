//! When a callback is to be called. This module knows nothing about callbacks.

mod capacity_plan;
mod decision;
mod demand;
mod erlang;
mod plan;
mod slot;
mod solve;
mod window_hours;

pub use capacity_plan::{PlanHour, PlannedPlaces, plan};
pub use decision::{Candidate, Choice, Decision, HourPlaces, Inputs, PlanVersion, Reason, forecast_version};
pub use demand::{
    Count, DayDemand, DayTotal, ExpectedWindow, HISTORY_DAYS, LEADS, LONGEST_WINDOW, complete_days, day_weights,
    days_until,
};
pub use erlang::WaitCost;
pub use plan::{NOTICE, hours_of};
pub use slot::{Availability, Slot};
pub use window_hours::WindowHours;
