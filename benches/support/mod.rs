//! What the parts stand on.

pub mod commands;
pub mod cores;
pub mod cxone;
pub mod load;
pub mod report;
pub mod world;
