//! Replicas of the real binary while Postgres, CXone and the replicas themselves fail; and whether what they have
//! acknowledged is true at the end. `make chaos` runs it; CONTRIBUTING.md says how to read it.

mod callers;
mod client;
mod commanders;
mod cxone;
mod end;
#[path = "../../tests/harness/mod.rs"]
mod harness;
mod nemesis;
mod outsiders;
mod receiver;
mod record;
mod recovery;
mod replicas;
mod report;
mod settings;
mod verdict;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use fastrand::Rng;
use ringback::clock::Clock;
use ringback::shutdown;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use callers::Callers;
use client::Client;
use commanders::Commander;
use cxone::Cxone;
use harness::{Durability, Postgres, create_key_with};
use nemesis::Nemesis;
use outsiders::Outsiders;
use receiver::Receiver;
use record::Record;
use replicas::{Launch, Replica};
use settings::Settings;
use verdict::Violation;

/// CXone's quota in requests a minute, and the setting of the replicas.
const QUOTA: u32 = 3000;
/// Campaigns that callbacks are for; no UUIDs, so that nobody commands them.
const CALLED: [&str; 3] = ["chaos-a", "chaos-b", "chaos-c"];
/// Campaigns that are paused and resumed.
const COMMANDED: [&str; 4] = [
    "0192f0c4-1111-7000-8000-00000000000a",
    "0192f0c4-1111-7000-8000-00000000000b",
    "0192f0c4-1111-7000-8000-00000000000c",
    "0192f0c4-1111-7000-8000-00000000000d",
];
/// How often each replica is asked whether it answers.
const PROBE_EVERY: Duration = Duration::from_millis(100);
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);
/// The exit status after Ctrl-C, as a shell has it.
const INTERRUPTED: u8 = 130;
/// What the clients need.
const SCOPES: [&str; 5] = ["callbacks:write", "callbacks:read", "campaigns:write", "campaigns:read", "audit:read"];
const SAY_EVERY: Duration = Duration::from_secs(10);

fn main() -> anyhow::Result<ExitCode> {
    let settings = Settings::read();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let interrupted = shutdown::on_signal()?;
        match interrupted.run_until_cancelled(run(&settings)).await {
            Some(violations) => Ok(ExitCode::from(u8::from(violations? > 0))),
            // Whatever was started is killed when it is dropped.
            None => Ok(ExitCode::from(INTERRUPTED)),
        }
    })
}

/// A run; gives how many violations there were.
async fn run(settings: &Settings) -> anyhow::Result<usize> {
    let seed = settings.seed();
    let logs = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("chaos");
    std::fs::create_dir_all(&logs)?;
    report::start(settings, seed, &logs);
    let mut rng = Rng::with_seed(seed);

    let postgres = Postgres::start(Durability::Synced).await;
    let campaigns: Vec<String> = CALLED.into_iter().chain(COMMANDED).map(str::to_owned).collect();
    let cxone = Arc::new(Cxone::start(settings.replicas.into(), &campaigns, rng.u64(..), QUOTA).await?);
    let binary = settings.binary.clone();
    let receiver = Receiver::start(rng.fork()).await;
    let (database_url, receiver_url) = (postgres.url(), receiver.url().to_owned());
    let launch = Launch { binary, database_url, quota: QUOTA, receiver_url, logs: logs.clone() };
    let replicas = start_replicas(&cxone, &launch).await?;
    let key = create_key_with(&launch.binary, &launch.database_url, &SCOPES).await;
    let urls = replicas.iter().map(|replica| replica.url.clone()).collect();
    let client = Client::new(urls, key, Record::default())?;

    cxone.fail(settings.faults).await?;
    cxone.set_resumes_itself(rng.bool()).await;
    let outsiders = Outsiders { cxone: Arc::clone(&cxone), campaigns: COMMANDED.map(str::to_owned).to_vec() };
    let load = Load::start(&client, settings, &mut rng);
    let nemesis = Nemesis {
        stop: CancellationToken::new(),
        record: client.record.clone(),
        kills: Arc::new(AtomicU32::new(0)),
        disturbances: Arc::default(),
    };
    let of_replicas = tokio::spawn(nemesis.clone().of_replicas(replicas, Arc::clone(&cxone), rng.fork()));
    let of_postgres = tokio::spawn(nemesis.clone().of_postgres(postgres, rng.fork()));
    let of_campaigns = tokio::spawn(outsiders.run(rng.fork(), nemesis.stop.clone()));
    wait(settings, &nemesis, &client.record, (&of_replicas, &of_postgres)).await;
    nemesis.stop.cancel();
    let stopped_at = Instant::now();
    of_campaigns.await?;
    // They run until the end: dropped, they would be killed.
    let (replicas, postgres) = (of_replicas.await??, of_postgres.await??);

    load.finish(&client, &mut rng).await;
    cxone.heal().await;
    let settled = end::settle(&client, &cxone, &COMMANDED, settings.settle_within()).await?;
    let evidence = end::collect(&client, &cxone, &receiver, settled).await?;
    let violations = judged(&client, &cxone, &evidence).await;
    report::end(&nemesis, &client.record, &cxone, &evidence, stopped_at);
    report::violations(&violations, &logs)?;
    drop(replicas);
    drop(postgres);
    Ok(violations.len())
}

/// Everything that was wrong, what could not be undone first.
async fn judged(client: &Client, cxone: &Cxone, evidence: &verdict::Evidence) -> Vec<Violation> {
    let mut violations = std::mem::take(&mut client.record.kept().violations);
    violations.extend(verdict::judge(evidence));
    violations.extend(end::quota(cxone, QUOTA).await);
    violations.sort_by_key(|violation| violation.kind);
    violations
}

async fn start_replicas(cxone: &Cxone, launch: &Launch) -> anyhow::Result<Vec<Replica>> {
    let mut replicas = Vec::new();
    for (index, cxone_url) in cxone.urls.iter().enumerate() {
        let mut replica = Replica::new(index, cxone_url, launch).await?;
        replica.serve().await?;
        replicas.push(replica);
    }
    Ok(replicas)
}

/// Waits until the run has lasted long enough, or there were enough kills; or until one of the fault tasks has ended.
async fn wait<R, P>(
    settings: &Settings,
    nemesis: &Nemesis,
    record: &Record,
    at_work: (&JoinHandle<R>, &JoinHandle<P>),
) {
    let started_at = Instant::now();
    let mut said_at = Instant::now();
    loop {
        let kills = nemesis.kills.load(Ordering::Relaxed);
        let is_over = match settings.kills {
            Some(wanted) => kills >= wanted,
            None => started_at.elapsed() >= settings.lasting(),
        };
        if is_over || at_work.0.is_finished() || at_work.1.is_finished() {
            return;
        }
        if said_at.elapsed() >= SAY_EVERY {
            said_at = Instant::now();
            report::progress(started_at.elapsed(), record.acknowledgements(), kills);
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Everything that asks something of the service.
struct Load {
    stop: CancellationToken,
    clients: TaskTracker,
    probes: CancellationToken,
}

impl Load {
    fn start(client: &Client, settings: &Settings, rng: &mut Rng) -> Self {
        let load =
            Self { stop: CancellationToken::new(), clients: TaskTracker::new(), probes: CancellationToken::new() };
        let callers = Callers::new(client.clone(), CALLED.map(str::to_owned).to_vec());
        load.clients.spawn(callers.call(settings.rate, rng.fork(), load.stop.clone()));
        for campaign in COMMANDED {
            load.clients.spawn(commander(client, campaign).command(rng.fork(), load.stop.clone()));
        }
        for replica in 0..client.replicas.len() {
            let (client, probes) = (client.clone(), load.probes.clone());
            tokio::spawn(async move { probes.run_until_cancelled(probe(&client, replica)).await });
        }
        load
    }

    /// Starts nothing new, and waits until everybody has an answer. One campaign keeps a hold.
    async fn finish(self, client: &Client, rng: &mut Rng) {
        self.stop.cancel();
        self.clients.close();
        self.clients.wait().await;
        self.probes.cancel();
        commander(client, COMMANDED[0]).hold_for_an_hour(rng).await;
    }
}

fn commander(client: &Client, campaign: &str) -> Commander {
    Commander { client: client.clone(), campaign: campaign.to_owned(), clock: Clock::system() }
}

/// Asks a replica for something that needs Postgres, again and again.
async fn probe(client: &Client, replica: usize) {
    let mut turns = tokio::time::interval(PROBE_EVERY);
    turns.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        turns.tick().await;
        client.look(replica, "/v1/callbacks?limit=1", PROBE_TIMEOUT).await;
    }
}
