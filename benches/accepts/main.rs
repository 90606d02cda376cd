//! How many callbacks the real binary accepts: against the limit of the machine, in batches, with long lists, and against
//! another service. With a real Postgres that syncs to disk.
//!
//! `make bench ARGS='accepts idle batches lists'` runs only this. `PEER=<directory>` runs the service in that directory in turns with Ringback:
//! `node server.mjs` with `DATABASE_URL` and `PORT`, whose API key is `peer`.

#[path = "../../tests/harness/mod.rs"]
mod harness;
mod limits;
mod peer;
#[path = "../support/mod.rs"]
#[allow(dead_code, reason = "each benchmark uses a part")]
mod support;

use std::time::{Duration, Instant};

use sqlx::AssertSqlSafe;

use support::Outcome;
use support::cores::Cores;
use support::load::{Load, Prefer};
use support::report;
use support::wire::{Target, sustained};
use support::world::World;

/// Connections of the two runs.
const CONNECTIONS: [usize; 2] = [64, 512];
const LASTING: Duration = Duration::from_secs(6);
/// Runs of each service, in turns. The median counts.
const ROUNDS: usize = 3;
/// Clients that send batches of this size.
const BATCH: (usize, u32) = (4, 1000);
/// Requests one after the other, on a service that has nothing else to do.
const ONE_BY_ONE: u64 = 200;
const NO_QUOTA: &str = "1000000";
/// CXone's default quota: most callbacks wait.
const DEFAULT_QUOTA: &str = "100";
/// The callbacks of the two lists.
const LISTS: [u32; 2] = [10_000, 1_000_000];

fn main() -> Outcome {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let runs = |part: &str| wanted.is_empty() || wanted.iter().any(|name| part.contains(name.as_str()));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        if runs("accepts") {
            accepts().await?;
        }
        if runs("idle") {
            idle().await?;
        }
        if runs("batches") {
            batches().await?;
        }
        if runs("lists") {
            lists().await?;
        }
        Ok(())
    })
}

/// One run: the load, and the processor time of an accept in microseconds, of the service and of Postgres.
struct Run {
    load: Load,
    service: f64,
    postgres: f64,
    memory_kib: u64,
}

impl Run {
    #[expect(clippy::cast_precision_loss, reason = "counts of a benchmark are far below 2^52")]
    fn new(load: Load, before: &Cores, after: &Cores, memory_kib: u64) -> Self {
        let used = |name: &str| {
            let of = |cores: &Cores| cores.used.iter().find(|(who, _)| *who == name).map_or(0.0, |(_, used)| *used);
            (of(after) - of(before)) * 1e6 / load.latencies.len().max(1) as f64
        };
        Self { service: used("service"), postgres: used("postgres"), load, memory_kib }
    }

    fn print(&self, who: &str, connections: usize) {
        let ms =
            |percentile| Duration::from_micros(self.load.latencies.value_at_percentile(percentile)).as_secs_f64() * 1e3;
        let refused: u64 =
            self.load.statuses.iter().filter(|(status, _)| !(200..300).contains(*status)).map(|(_, n)| n).sum();
        println!(
            "  {who:<9} {connections:>5} {:>9.0} {:>8.1} {:>8.1} {:>9.0} {:>9.0} {:>7} {refused:>7}",
            self.load.rate(),
            ms(50.0),
            ms(99.0),
            self.service,
            self.postgres,
            self.memory_kib / 1024
        );
    }
}

async fn accepts() -> Outcome {
    report::machine();
    report::part("callbacks accepted, each run on an empty database");
    println!(
        "  {:<9} {:>5} {:>9} {:>8} {:>8} {:>9} {:>9} {:>7} {:>7}",
        "", "conn.", "/s", "p50 ms", "p99 ms", "service", "postgres", "MiB", "not 2xx"
    );
    println!("  {:<9} {:>5} {:>9} {:>8} {:>8} {:>19}", "", "", "", "", "", "µs CPU per accept");
    let peer = std::env::var("PEER").ok();
    for connections in CONNECTIONS {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let run = ringback(connections).await?;
            run.print("ringback", connections);
            ours.push(run);
            if let Some(directory) = &peer {
                let run = peer::run(directory, connections).await?;
                run.print("peer", connections);
                theirs.push(run);
            }
        }
        if !theirs.is_empty() {
            compare(connections, &ours, &theirs);
        }
    }
    limits::print().await
}

fn median(runs: &[Run], of: impl Fn(&Run) -> f64) -> f64 {
    let mut values: Vec<f64> = runs.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn compare(connections: usize, ours: &[Run], theirs: &[Run]) {
    let ratio = |of: fn(&Run) -> f64| median(ours, of) / median(theirs, of);
    println!(
        "  medians at {connections}: {:.1} times the peer's accepts, {:.2} of its p99, {:.2} of its CPU per accept",
        ratio(|run| run.load.rate()),
        ratio(|run| Duration::from_micros(run.load.latencies.value_at_percentile(99.0)).as_secs_f64()),
        ratio(|run| run.service + run.postgres)
    );
}

async fn ringback(connections: usize) -> Outcome<Run> {
    let world = World::start(DEFAULT_QUOTA).await?;
    let target = Target::of(&world)?;
    let before = world.cores().await?;
    let load = sustained(&target, LASTING, connections, Target::payload).await?;
    let run = Run::new(load, &before, &world.cores().await?, world.memory_kib());
    world.end().await?;
    Ok(run)
}

/// What a single request costs while nothing else happens, and what the process takes.
async fn idle() -> Outcome {
    report::part(&format!("{ONE_BY_ONE} requests one by one"));
    let mut world = World::start(NO_QUOTA).await?;
    world.load.one_by_one(1, Prefer::Wait).await?;
    report::latencies_of("POST until accepted", &world.load.one_by_one(ONE_BY_ONE, Prefer::Async).await?.latencies);
    report::latencies_of("POST until confirmed", &world.load.one_by_one(ONE_BY_ONE, Prefer::Wait).await?.latencies);
    world.restart_service().await?;
    report::milliseconds("start to ready on a migrated database", world.started_in);
    report::memory("memory of the service after the start", world.memory_kib());
    report::memory("the binary", std::fs::metadata(harness::binary())?.len() / 1024);
    world.end().await
}

/// Batches of new callers, and batches of which half are duplicates.
async fn batches() -> Outcome {
    let (clients, size) = BATCH;
    for (what, repeated) in [("new", 0), ("new, half of them duplicates", size / 2)] {
        report::part(&format!("batches of {size} callbacks, {what}, from {clients} clients"));
        let world = World::start(DEFAULT_QUOTA).await?;
        let target = Target { path: "/v1/callbacks/batch", ..Target::of(&world)? };
        let before = world.cores().await?;
        let body = move |target: &Target| {
            let new: Vec<String> = (repeated..size).map(|_| target.payload()).collect();
            // Each new number again, later in the batch.
            let again = new.iter().take(repeated as usize).cloned();
            format!(r#"{{"callbacks":[{}]}}"#, new.iter().cloned().chain(again).collect::<Vec<_>>().join(","))
        };
        let load = sustained(&target, LASTING, clients, body).await?;
        let rows = load.latencies.len() * u64::from(size);
        report::rate("rows", rows, load.took);
        report::figure("stored", world.kept().await?, "");
        report::load(&load);
        report::cores(&before, &world.cores().await?);
        world.end().await?;
    }
    Ok(())
}

/// Pages of short and long lists.
async fn lists() -> Outcome {
    let world = World::start(DEFAULT_QUOTA).await?;
    let key = harness::create_key(&world.database, &["callbacks:read", "audit:read"]).await;
    for rows in LISTS {
        report::part(&format!("a page of 50 with {rows} callbacks"));
        fill(&world, rows).await?;
        for query in ["", "?status=accepted", "?campaignId=list-7", "?phoneNumber=%2B12122000007", "?status=failed"] {
            let url = format!("{}/v1/callbacks{query}", world.service.base_url);
            let mut took = Vec::new();
            for _ in 0..21 {
                let started_at = Instant::now();
                let answer = harness::http_client().get(&url).bearer_auth(&key).send().await?.error_for_status()?;
                answer.bytes().await?;
                took.push(started_at.elapsed());
            }
            took.sort_unstable();
            report::milliseconds(&format!("GET /v1/callbacks{query}, median"), took[took.len() / 2]);
        }
    }
    world.end().await
}

/// Stores callbacks until there are so many, without the service.
async fn fill(world: &World, rows: u32) -> Outcome {
    let fill = format!(
        "insert into callbacks (id, status, phone_number, campaign_id, requested_start, requested_end, language,
             confirmation, attempts, due_at, failure_code, failure_detail, request_id, created_at, updated_at)
         select gen_random_uuid(), case when n % 50 = 0 then 'accepted' else 'expired' end,
             '+1212' || lpad((2000000 + n)::text, 7, '0'), 'list-' || n % 20, now() + interval '2 hours',
             now() + interval '4 hours', 'en-US', 'pending', 0, case when n % 50 = 0 then now() + interval '1 hour' end,
             case when n % 50 <> 0 then 'window-passed' end, case when n % 50 <> 0 then 'x' end, n::text,
             now() + n * interval '1 millisecond' - interval '1 hour', now()
         from generate_series((select count(*) from callbacks) + 1, {rows}) as n"
    );
    sqlx::raw_sql(AssertSqlSafe(fill)).execute(&world.database.pool).await?;
    sqlx::raw_sql("vacuum analyze callbacks").execute(&world.database.pool).await?;
    Ok(())
}
