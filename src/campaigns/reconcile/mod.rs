//! Brings the state of campaigns in CXone to what their holds say.

mod gateway;
#[cfg(test)]
mod model_test;
mod reconciler;
mod worker;

pub use gateway::CxoneDialer;
pub use reconciler::{Book, Halt};
pub use worker::{Conductor, report_on};
