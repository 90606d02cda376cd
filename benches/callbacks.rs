//! How fast the real binary accepts and confirms callbacks, and counts dialer events: with a real Postgres that syncs to
//! disk, and CXone's simulator in a separate process without latency.
//!
//! `make bench` starts the Postgres server; `make bench ARGS=sustained` runs one part. The load, the service, Postgres
//! and the simulator share the machine's cores; the report of each part ends with the cores that each of them used.

#[path = "../tests/harness/mod.rs"]
mod harness;
#[allow(dead_code, reason = "each benchmark uses a part")]
mod support;

use std::time::{Duration, Instant};

use support::Outcome;
use support::load::Prefer;
use support::report;
use support::world::World;

/// Starts of which the median is shown.
const STARTS: usize = 7;
/// Callbacks that are posted one after the other, their callers waiting.
const ONE_BY_ONE: u64 = 500;
/// Callbacks that are posted in the same moment.
const AT_ONCE: usize = 1000;
/// How long, and over how many connections, callbacks are posted without a pause.
const SUSTAINED: (Duration, usize) = (Duration::from_secs(12), 32);
/// How long, and over how many connections, dialers report events.
const EVENTS: (Duration, usize) = (Duration::from_secs(10), 4);
/// CXone's quota for which a backlog is worked off, and how long that is watched: more than the minute it is for.
const QUOTA: (u32, Duration) = (200, Duration::from_secs(66));
/// More than enough where the quota does not bind.
const NO_QUOTA: &str = "1000000";

fn main() -> Outcome {
    // Cargo adds flags such as --bench.
    let wanted: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let runs = |part: &str| wanted.is_empty() || wanted.iter().any(|name| part.contains(name.as_str()));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        report::machine();
        if runs("start") {
            start().await?;
        }
        if runs("one") {
            one_by_one().await?;
        }
        if runs("thousand") {
            thousand().await?;
            thousand_while_cxone_hangs().await?;
        }
        if runs("sustained") {
            sustained().await?;
        }
        if runs("batch") {
            batch().await?;
        }
        if runs("events") {
            events().await?;
        }
        if runs("quota") {
            quota().await?;
        }
        Ok(())
    })
}

/// From the start of the process to the first answer that it is ready.
async fn start() -> Outcome {
    report::part("start to ready");
    let mut world = World::start(NO_QUOTA).await?;
    let empty = world.started_in;
    let mut took = Vec::new();
    for _ in 0..STARTS {
        world.restart_service().await?;
        took.push(world.started_in);
    }
    took.sort_unstable();
    report::milliseconds("on an empty database", empty);
    report::milliseconds("median", took[took.len() / 2]);
    report::milliseconds("slowest", took[took.len() - 1]);
    world.end().await
}

/// From the POST to the 201 that says that the text message was sent, without other load.
async fn one_by_one() -> Outcome {
    report::part(&format!("POST to confirmed, {ONE_BY_ONE} one by one"));
    let world = World::start(NO_QUOTA).await?;
    // The first one fetches the token and the forecast, and opens the connections.
    world.load.one_by_one(1, Prefer::Wait).await?;
    world.cxone.clear_received().await;
    let cores = world.cores().await?;
    let load = world.load.one_by_one(ONE_BY_ONE, Prefer::Wait).await?;
    report::load(&load);
    report::figure("answered with the confirmation sent", load.confirmed, "");
    let asked = world.cxone.totals().await?;
    report::per("requests that CXone saw for a callback", asked.total, ONE_BY_ONE);
    report::cores(&cores, &world.cores().await?);
    world.end().await
}

async fn thousand() -> Outcome {
    report::part(&format!("{AT_ONCE} callbacks at once"));
    let world = World::start(NO_QUOTA).await?;
    let cores = world.cores().await?;
    let posted_at = Instant::now();
    let load = world.load.at_once(AT_ONCE).await?;
    report::load(&load);
    world.wait_for_confirmed(AT_ONCE).await?;
    report::seconds("from the first POST till all are confirmed", posted_at.elapsed());
    let asked = world.cxone.totals().await?;
    report::per("requests that CXone saw for a callback", asked.total, AT_ONCE as u64);
    report::cores(&cores, &world.cores().await?);
    world.end().await
}

async fn thousand_while_cxone_hangs() -> Outcome {
    report::part(&format!("{AT_ONCE} callbacks at once while CXone takes requests and never answers"));
    let world = World::start(NO_QUOTA).await?;
    world.cxone.hang().await;
    let load = world.load.at_once(AT_ONCE).await?;
    report::load(&load);
    report::figure("kept in Postgres", world.kept().await?, "");
    report::figure("requests that CXone took and left open", world.cxone.totals().await?.unanswered, "");
    world.end().await
}

async fn sustained() -> Outcome {
    let (lasting, connections) = SUSTAINED;
    report::part(&format!("callbacks for {} s over {connections} connections", lasting.as_secs()));
    let world = World::start(NO_QUOTA).await?;
    let cores = world.cores().await?;
    let before = world.memory_kib();
    let loading = world.load.sustained(lasting, connections);
    let watching = async {
        tokio::time::sleep(lasting / 2).await;
        world.memory_kib()
    };
    let (load, halfway) = tokio::join!(loading, watching);
    report::load(&load?);
    report::cores(&cores, &world.cores().await?);
    report::figure("confirmed meanwhile", world.confirmed().await?, "");
    report::memory("memory of the service before", before);
    report::memory("                      halfway", halfway);
    report::memory("                      at the end", world.memory_kib());
    world.end().await
}

async fn batch() -> Outcome {
    report::part(&format!("one batch of {AT_ONCE}"));
    let world = World::start(NO_QUOTA).await?;
    // Connections and prepared statements are there, as in a service that has run for a while.
    world.load.batch(1).await?;
    let posted_at = Instant::now();
    let (took, kept) = world.load.batch(AT_ONCE).await?;
    report::milliseconds("till the answer", took);
    report::figure("kept", kept, "");
    world.wait_for_confirmed(AT_ONCE + 1).await?;
    report::seconds("till all are confirmed", posted_at.elapsed());
    world.end().await
}

/// Attempts and answers of one campaign, in requests of 1,000.
async fn events() -> Outcome {
    let (lasting, connections) = EVENTS;
    report::part(&format!("dialer events for {} s over {connections} connections", lasting.as_secs()));
    let world = World::start(NO_QUOTA).await?;
    let cores = world.cores().await?;
    let before = world.memory_kib();
    let reporting = world.commands.report_events(lasting, connections);
    let watching = async {
        tokio::time::sleep(lasting / 2).await;
        world.memory_kib()
    };
    let (taken, halfway) = tokio::join!(reporting, watching);
    report::per("events taken a second", taken?, lasting.as_secs());
    report::cores(&cores, &world.cores().await?);
    report::memory("memory of the service before", before);
    report::memory("                      halfway", halfway);
    report::memory("                      at the end", world.memory_kib());
    world.end().await
}

/// A backlog that is far larger than the quota.
async fn quota() -> Outcome {
    let (quota, lasting) = QUOTA;
    report::part(&format!("a backlog at {quota} requests a minute, for {} s", lasting.as_secs()));
    let world = World::start(&quota.to_string()).await?;
    world.cxone.limit(quota).await;
    world.load.batch(AT_ONCE).await?;
    tokio::time::sleep(lasting).await;
    let (asked, confirmed) = (world.cxone.totals().await?, world.confirmed().await?);
    report::per("share of the quota used in the busiest minute", asked.highest_per_minute, quota.into());
    report::figure("429s", asked.too_many, "");
    report::figure("confirmed", confirmed, "");
    report::per("requests that CXone saw for a callback", asked.total, confirmed);
    world.end().await
}
