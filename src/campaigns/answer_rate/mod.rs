//! The answer rate of each campaign: replicas count attempts and answers in memory, share them through Postgres, and
//! pause a campaign whose answer rate is too low. Attempts and answers are posted as events, or read from CXone.

mod counters;
mod guard_state;
mod interval_poll;
mod interval_store;
mod intervals;
mod monitor;
mod store;
mod window;

pub use counters::DialerSample;
pub use interval_poll::IntervalPoller;
pub use interval_store::IntervalStore;
pub use monitor::AnswerRateMonitor;
pub use store::AnswerRateStore;
pub use window::Window;
