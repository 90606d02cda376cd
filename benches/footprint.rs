//! What the service costs while it has nothing to do: the size of the program, the time from its start until it is ready, its
//! memory, and the memory of idle connections. `make bench ARGS='footprint'` runs only this.
//!
//! Memory is resident memory. A part of it is pages of the program's file, which all replicas of a machine share and which the
//! system can drop at any time; the rest is printed, too.

#[path = "../tests/harness/mod.rs"]
mod harness;
#[allow(dead_code, reason = "each benchmark uses a part")]
mod support;

use std::time::Duration;

use futures::StreamExt as _;
use futures::stream;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use harness::processes;
use support::Outcome;
use support::report;
use support::world::World;

/// Starts of which the median is shown.
const STARTS: usize = 7;
/// After the start, until the tasks that run at the start have ended.
const SETTLED: Duration = Duration::from_secs(3);
const CONNECTIONS: usize = 10_000;
/// Connections that are opened at the same time.
const OPENED_TOGETHER: usize = 64;
const NO_QUOTA: &str = "1000000";
const REQUEST: &[u8] = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";

fn main() -> Outcome {
    let mut wanted = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).peekable();
    if wanted.peek().is_some() && !wanted.any(|name| "footprint".contains(name.as_str())) {
        return Ok(());
    }
    // The service inherits it.
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(footprint())
}

async fn footprint() -> Outcome {
    report::machine();
    report::part("footprint of the service");
    report::megabytes("the program, at most 20", std::fs::metadata(harness::binary())?.len());
    let mut world = World::start(NO_QUOTA).await?;
    let mut took = Vec::new();
    for _ in 0..STARTS {
        world.restart_service().await?;
        took.push(world.started_in);
    }
    took.sort_unstable();
    report::milliseconds("start to ready on a migrated database, at most 200", took[took.len() / 2]);
    tokio::time::sleep(SETTLED).await;
    memory("memory after the start, at most 20", &world);
    let before = bytes(&world, "VmRSS:");
    // The service closes a connection that is idle for 30 seconds: each measurement opens its own.
    for (what, asks) in [("without a request", false), ("after a request", true)] {
        let connections = open(&world, asks).await?;
        let memory = bytes(&world, "VmRSS:").saturating_sub(before);
        report::megabytes(&format!("{CONNECTIONS} connections {what}, at most 100"), memory);
        drop(connections);
    }
    world.end().await
}

fn memory(what: &str, world: &World) {
    report::megabytes(what, bytes(world, "VmRSS:"));
    report::megabytes("  without the pages of files", bytes(world, "RssAnon:"));
}

fn bytes(world: &World, field: &str) -> u64 {
    processes::memory_kib(world.service.id(), field) * 1024
}

/// Opens the connections. After a request, a connection keeps its buffers.
async fn open(world: &World, asks: bool) -> Outcome<Vec<TcpStream>> {
    let address = world.service.base_url.trim_start_matches("http://");
    let opening = stream::iter(0..CONNECTIONS).map(|_| open_one(address, asks)).buffer_unordered(OPENED_TOGETHER);
    opening.collect::<Vec<_>>().await.into_iter().collect()
}

async fn open_one(address: &str, asks: bool) -> Outcome<TcpStream> {
    let mut connection = TcpStream::connect(address).await?;
    if !asks {
        return Ok(connection);
    }
    connection.write_all(REQUEST).await?;
    let mut answer = [0; 4096];
    let length = connection.read(&mut answer).await?;
    anyhow::ensure!(answer[..length].starts_with(b"HTTP/1.1 200"), "a connection was refused");
    Ok(connection)
}
