//! The harness of the end-to-end tests, the benchmarks and the chaos runs: Postgres, the service's processes, the
//! control API of the simulator, and a receiver of webhooks. Everything panics when it fails.

#![allow(dead_code, unused_imports, reason = "each test or benchmark uses a part")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods, reason = "a harness")]

mod cluster;
mod control;
mod database;
mod eventually;
mod forwarder;
mod http;
mod postgres;
pub mod processes;
mod receiver;
mod service;
mod wire;

pub use cluster::Cluster;
pub use control::Control;
pub use database::Database;
pub use eventually::{PATIENCE, eventually, eventually_within};
pub use forwarder::{Forwarder, Outage};
pub use http::{http_client, plain_http};
pub use postgres::{Durability, Postgres, server_user};
pub use processes::{has_program, has_python_module};
pub use receiver::{Received, Receiver, Reply};
pub use service::{BINARY, Process, Service, binary, create_key, create_key_with, serve, serve_with};
pub use wire::{is_nice, nice_settings};
