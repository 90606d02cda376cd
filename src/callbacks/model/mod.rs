//! A callback, its states, and the transitions between them.

mod audit;
mod call_outcome;
mod callback;
mod change;
mod changing;
mod status;
#[cfg(test)]
pub mod testing;
mod transitions;
#[cfg(test)]
mod transitions_test;

pub use call_outcome::{CallOutcome, CallStatus};
pub use callback::{Callback, NewCallback, PossibleContact};
pub use change::{Change, ChangeKind};
pub use changing::already_called;
pub use status::{Confirmation, Failure, FailureCode, SkipReason, Status, TimezoneSource};
pub use transitions::{Contact, START_PASSED_AFTER};
