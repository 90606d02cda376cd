//! Where in CXone's forecast a callback is placed. This module knows nothing of callbacks.

mod plan;

pub use plan::{HourLoad, NOTICE, dispatch, dispatch_without_forecast, hours_of};
