//! Tells browsers what has changed: names of topics only. A browser then reads the part of the page again, with its own session.

mod hub;
mod tail;
mod topic;

pub use hub::{Live, LiveSource, Subscription};
pub use topic::Topic;
