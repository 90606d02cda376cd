//! What the benchmarks share.

pub mod commands;
pub mod cores;
pub mod cxone;
pub mod load;
pub mod report;
pub mod wire;
pub mod world;

/// The result of every part.
pub type Outcome<T = ()> = anyhow::Result<T>;
