//! The answer rate of each campaign: replicas count attempts and answers in memory, share them through Postgres, and
//! pause a campaign whose answer rate is too low.

mod counters;
mod guard_state;
mod monitor;
mod store;
mod window;

pub use counters::DialerSample;
pub use monitor::AnswerRateMonitor;
pub use store::AnswerRateStore;
pub use window::Window;
