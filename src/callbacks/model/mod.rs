//! A callback, its states, and the transitions between them.

mod audit;
mod callback;
mod status;
#[cfg(test)]
pub mod testing;
mod transitions;
#[cfg(test)]
mod transitions_test;

pub use callback::{Callback, NewCallback, PossibleContact};
pub use status::{Confirmation, Failure, FailureCode, SkipReason, Status};
pub use transitions::START_PASSED_AFTER;
