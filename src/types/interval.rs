use jiff::Timestamp;

/// A span of time of any length: the start is in it, the end is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interval {
    pub start: Timestamp,
    pub end: Timestamp,
}
