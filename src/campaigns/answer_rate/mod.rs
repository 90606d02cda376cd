//! The answer rate of each campaign, and the guard that pauses a campaign when its answer rate is low.

mod counters;
mod monitor;
mod store;
mod window;

pub use counters::Happening;
pub use monitor::AnswerRates;
pub use store::RateStore;
pub use window::{Counts, DEFAULT_WINDOW, Guard, Window};
