//! Another service that accepts callbacks, for comparison.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;

use anyhow::Context as _;
use jiff::SignedDuration;
use ringback::clock::Clock;
use tokio::process::Command;

use super::support::Outcome;
use super::support::cores::Cores;
use super::support::wire::{Target, sustained};
use super::{LASTING, Run};
use crate::harness::{Database, eventually, processes};

pub async fn run(directory: &str, connections: usize) -> Outcome<Run> {
    let database = Database::create_empty().await;
    // Free until the peer takes it.
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
    let mut server = Command::new("node");
    server.arg("server.mjs").current_dir(directory).env("DATABASE_URL", &database.url).env("PORT", port.to_string());
    let server = server.kill_on_drop(true).spawn().context("node is needed")?;
    let id = server.id().context("the peer has ended")?;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    eventually("the peer to listen", async || {
        tokio::net::TcpStream::connect(address).await.map(drop).map_err(|error| error.to_string())
    })
    .await;
    let now = Clock::system().now();
    let hours = |hours: i64| (now + SignedDuration::from_hours(hours)).to_string();
    let window = (hours(2), hours(4));
    let target = Target { address, path: "/v1/callbacks", key: "peer".into(), window, next: Arc::default() };
    let backend: i32 = sqlx::query_scalar("select pg_backend_pid()").fetch_one(&database.pool).await?;
    let cores = || Cores::now(&[("service", id)], u32::try_from(backend)?);
    let before = cores()?;
    let load = sustained(&target, LASTING, connections, Target::payload).await?;
    let run = Run::new(load, &before, &cores()?, processes::resident_kib(id));
    drop(server);
    database.drop().await;
    Ok(run)
}
