//! What the middleware tells the handlers about a request.

use std::time::Duration;

use jiff::Timestamp;

/// When a request was received.
#[derive(Clone, Copy)]
pub(super) struct ReceivedAt(pub(super) Timestamp);

/// What a client's change of a campaign does; faults decide it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    Immediate,
    /// After this time, over any change made in between.
    Delayed(Duration),
    None,
}
