//! The simulator's clock.

use jiff::Timestamp;

/// The current time. CXone has its own clock, which no setting changes.
#[expect(clippy::disallowed_methods, reason = "the simulator is another system, with its own clock")]
pub(super) fn now() -> Timestamp {
    Timestamp::now()
}
