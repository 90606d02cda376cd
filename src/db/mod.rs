//! Postgres: connections whose every wait is bounded, and what their errors mean.

mod error;

pub use error::{is_conflict, is_transient};
