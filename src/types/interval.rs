use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A span of time of any length: the start is in it, the end is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interval {
    pub start: Timestamp,
    pub end: Timestamp,
}
