//! How fast the real binary pauses a campaign while other things fail or wait: from the POST to the PUT that CXone
//! receives, and to the answer. The Postgres, the simulator and the cores are as in `callbacks.rs`.

#[path = "../tests/harness/mod.rs"]
mod harness;
#[allow(dead_code, reason = "each benchmark uses a part")]
mod support;

use std::time::Duration;

use serde_json::{Value, json};
use support::Outcome;
use support::load::Posting;
use support::report;
use support::world::World;
use tokio_util::sync::CancellationToken;

/// In each situation.
const PAUSES: u32 = 40;
/// Before those that count: they open connections, and prepare statements.
const FIRST: u32 = 3;
/// Callbacks that wait, and how many of them come in one batch.
const BACKLOG: (usize, usize) = (10_000, 1_000);
/// In requests a minute, where the backlog is worked off.
const QUOTA: &str = "6000";
/// More than enough where the quota does not bind.
const NO_QUOTA: &str = "1000000";
/// Meanwhile so many callbacks come in at a time, so often.
const CALLBACKS: (usize, Duration) = (10, Duration::from_millis(200));
/// Until what fails has been met often enough for back-offs and breakers.
const UNTIL_IT_FAILS: Duration = Duration::from_secs(3);

fn main() -> Outcome {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    if !wanted.is_empty() && !wanted.iter().any(|name| "pauses".contains(name.as_str())) {
        return Ok(());
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        report::part("pauses of a campaign that dials");
        report::pauses_head();
        quiet().await?;
        amid("contacts fail (500)", json!({"route": "contact", "kind": "status", "status": 500})).await?;
        amid("contacts hang", json!({"route": "contact", "kind": "hang"})).await?;
        amid("messages fail (500)", json!({"route": "message", "kind": "status", "status": 500})).await?;
        amid("messages hang", json!({"route": "message", "kind": "hang"})).await?;
        let slow = Some(json!({"route": "contact", "kind": "latency", "latencyMs": 1000}));
        over_backlog("10,000 callbacks wait, contacts take 1 s", NO_QUOTA, slow).await?;
        let down = Some(json!({"route": "contact", "kind": "status", "status": 503}));
        over_backlog("10,000 callbacks wait, contacts are down (503)", NO_QUOTA, down).await?;
        over_backlog("10,000 callbacks wait, 6,000 requests a minute", QUOTA, None).await
    })
}

async fn quiet() -> Outcome {
    let world = World::start(NO_QUOTA).await?;
    measure("nothing else happens", &world).await?;
    world.end().await
}

/// While callbacks come in and this goes wrong.
async fn amid(what: &str, fault: Value) -> Outcome {
    let world = World::start(NO_QUOTA).await?;
    world.cxone.fault(fault).await;
    let stop = CancellationToken::new();
    let calling = tokio::spawn(call(world.load.clone(), stop.clone()));
    tokio::time::sleep(UNTIL_IT_FAILS).await;
    measure(what, &world).await?;
    stop.cancel();
    calling.await??;
    world.end().await
}

/// While a backlog waits.
async fn over_backlog(what: &str, quota: &str, fault: Option<Value>) -> Outcome {
    let world = World::start(quota).await?;
    if let Some(fault) = fault {
        world.cxone.fault(fault).await;
    }
    let (backlog, batch) = BACKLOG;
    for _ in 0..backlog / batch {
        world.load.batch(batch).await?;
    }
    measure(what, &world).await?;
    world.end().await
}

async fn measure(what: &str, world: &World) -> Outcome {
    world.commands.pauses(&world.cxone, FIRST).await?;
    report::pauses(what, &world.commands.pauses(&world.cxone, PAUSES).await?);
    Ok(())
}

/// Callbacks, until `stop`.
async fn call(load: Posting, stop: CancellationToken) -> Outcome {
    let (many, every) = CALLBACKS;
    while stop.run_until_cancelled(tokio::time::sleep(every)).await.is_some() {
        load.batch(many).await?;
    }
    Ok(())
}
