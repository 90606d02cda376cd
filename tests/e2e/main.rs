//! The real binary against a real Postgres and the CXone simulator, over real sockets.
//!
//! Each test has a database, a simulator and a service of its own. `make test` brings the Postgres.

mod callbacks;
mod support;
