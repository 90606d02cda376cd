//! The transparency log: how fast entries are sealed and verified, and what sealing costs the callbacks that are accepted.
//!
//! `AUDIT_ENTRIES` is the number of entries that are verified, one million where it is not set.

#[path = "../tests/harness/mod.rs"]
mod harness;
#[allow(dead_code, reason = "each benchmark uses a part")]
mod support;

use std::time::{Duration, Instant};

use sqlx::AssertSqlSafe;
use tokio::process::Command;

use harness::{binary, eventually_within};
use support::Outcome;
use support::report;
use support::wire::{Target, sustained};
use support::world::World;

const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const ENTRIES: u64 = 1_000_000;
/// Runs with and without sealing, in turns.
const ROUNDS: usize = 3;
const CONNECTIONS: usize = 64;
const LASTING: Duration = Duration::from_secs(6);
/// How long sealing may take.
const PATIENCE: Duration = Duration::from_mins(10);
/// CXone's default quota: most callbacks wait.
const QUOTA: (&str, &str) = ("CXONE_REQUESTS_PER_MINUTE", "100");

fn main() -> Outcome {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    if !wanted.is_empty() && !wanted.iter().any(|name| "audit_log sealing".contains(name.as_str())) {
        return Ok(());
    }
    let entries = std::env::var("AUDIT_ENTRIES").ok().map_or(Ok(ENTRIES), |text| text.parse())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        report::machine();
        accepts().await?;
        verification(entries).await
    })
}

/// Callbacks accepted, with and without a key that seals the log.
async fn accepts() -> Outcome {
    report::part(&format!("callbacks accepted over {CONNECTIONS} connections, without and with sealing"));
    let (mut without, mut with) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        without.push(rate(&[]).await?);
        with.push(rate(&[("AUDIT_SIGNING_KEY", KEY)]).await?);
    }
    for (what, rates) in [("without", &mut without), ("with", &mut with)] {
        rates.sort_by(f64::total_cmp);
        report::number_per_second(&format!("{what} sealing, median"), rates[ROUNDS / 2]);
    }
    println!("  with sealing / without: {:.2}", with[ROUNDS / 2] / without[ROUNDS / 2]);
    Ok(())
}

async fn rate(settings: &[(&'static str, &str)]) -> Outcome<f64> {
    let settings = std::iter::once(&QUOTA).chain(settings).map(|(name, value)| (*name, (*value).to_owned()));
    let world = World::with(settings.collect()).await?;
    let load = sustained(&Target::of(&world)?, LASTING, CONNECTIONS, Target::payload).await?;
    world.end().await?;
    Ok(load.rate())
}

/// Seals entries, and verifies all of them.
async fn verification(entries: u64) -> Outcome {
    report::part(&format!("{entries} audit entries"));
    let world = World::with(vec![("AUDIT_SIGNING_KEY", KEY.to_owned())]).await?;
    let fill = format!(
        "insert into audit_entries (id, \"timestamp\", action, actor_type, actor_id, actor_name, outcome, campaign_id,
             callback_id, new_state, latency_ms, request_id, detail)
         select gen_random_uuid(), now() + n * interval '1 ms', 'callback.accepted', 'api_key', gen_random_uuid(), 'ivr',
             'succeeded', 'a1b2c3d4-e5f6-7890-abcd-ef1234567890', gen_random_uuid(), 'accepted', 1, gen_random_uuid(),
             '{{\"phoneNumber\": \"+1202•••0198\", \"attempts\": 0}}'
         from generate_series(1, {entries}) as n"
    );
    sqlx::raw_sql(AssertSqlSafe(fill)).execute(&world.database.pool).await?;
    let started_at = Instant::now();
    eventually_within(PATIENCE, "a sealed log", async || {
        let size =
            sqlx::query_scalar::<_, i64>("select size from audit_log_head").fetch_one(&world.database.pool).await;
        let size = size.map_err(|error| error.to_string())?.unsigned_abs();
        if size >= entries { Ok(()) } else { Err(format!("{size} entries")) }
    })
    .await;
    report::rate("entries sealed", entries, started_at.elapsed());
    let started_at = Instant::now();
    let mut verify = Command::new(binary());
    let verified = verify.args(["audit", "verify"]).env("DATABASE_URL", &world.database.url).output().await?;
    anyhow::ensure!(verified.status.success(), "the log is broken: {}", String::from_utf8_lossy(&verified.stderr));
    report::rate("entries verified", entries, started_at.elapsed());
    world.end().await
}
