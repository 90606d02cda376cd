//! When a callback is to be called. This module knows nothing about callbacks.

mod plan;

pub use plan::{HourLoad, NOTICE, best_time, earliest_time, hours_of};
