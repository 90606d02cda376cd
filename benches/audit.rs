//! How fast the audit log is read: pages for each filter, of a small and of a large log, and the whole log as CSV.
//!
//! `AUDIT_ENTRIES` is the size of the large log, 10 million where it is not set.

#[path = "../tests/harness/mod.rs"]
mod harness;
#[allow(dead_code, reason = "each benchmark uses a part")]
mod support;

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use reqwest::Client;
use sqlx::AssertSqlSafe;
use support::Outcome;
use support::report;
use support::world::World;

use harness::{create_key, http_client, processes};

const FEW: u64 = 10_000;
const MANY: u64 = 10_000_000;
/// Entries that are inserted in one statement.
const AT_ONCE: u64 = 500_000;
/// Pages of each filter, one after the other.
const PAGES: usize = 300;
/// Pages before, which are not measured.
const FIRST_PAGES: usize = 20;
/// How often the memory is read during an export.
const WATCH_EVERY: Duration = Duration::from_millis(10);
const NO_QUOTA: &str = "1000000";

/// A value that most entries have, one that only the oldest have, and one that none has.
const FILTERS: [&str; 18] = [
    "",
    "campaignId=busy-1",
    "campaignId=old",
    "campaignId=none",
    "callbackId=00000000-0000-7000-8000-000000000007",
    "callbackId=00000000-0000-7000-9000-000000000007",
    "action=callback.accepted",
    "action=callback.scheduled",
    "action=hold.placed",
    "action=hold.lifted",
    "actor=busy",
    "actor=name%20of%20busy",
    "actor=name%20of%20old",
    "actor=nobody",
    "outcome=succeeded",
    "outcome=failed",
    "outcome=unknown",
    "campaignId=old&outcome=failed&action=hold.placed",
];

fn main() -> Outcome {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    if !wanted.is_empty() && !wanted.iter().any(|name| "audit".contains(name.as_str())) {
        return Ok(());
    }
    let many = std::env::var("AUDIT_ENTRIES").ok().map_or(Ok(MANY), |text| text.parse())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        report::machine();
        let world = World::start(NO_QUOTA).await?;
        let key = create_key(&world.database, &["audit:read"]).await;
        let reader = Reader { http: http_client(), url: format!("{}/v1/audit", world.service.base_url), key };
        fill(&world, 0, FEW).await?;
        let few = reader.all_pages(FEW).await?;
        fill(&world, FEW, many).await?;
        let many_pages = reader.all_pages(many).await?;
        report::part("pages of the large log, compared with those of the small one");
        for ((filter, few), many) in FILTERS.iter().zip(few).zip(many_pages) {
            report::per(&format!("ratio of p50, {}", name_of(filter)), many, few);
        }
        export(&world, &reader, many).await?;
        world.end().await
    })
}

/// One in a hundred of the first 100,000 entries has rare values.
async fn fill(world: &World, from: u64, to: u64) -> Outcome {
    let started_at = Instant::now();
    let mut first = from;
    while first < to {
        let last = to.min(first + AT_ONCE);
        let statement = format!(
            "insert into audit_entries (id, \"timestamp\", action, actor_type, actor_id, actor_name, outcome, campaign_id,
                 callback_id, previous_state, new_state, latency_ms, request_id, detail)
             select gen_random_uuid(), now() - interval '3 hours' + n * interval '1 ms',
                 case when old then 'hold.placed'
                     else (array['callback.accepted', 'callback.scheduled', 'callback.confirmed'])[n % 3 + 1] end,
                 'system', actor, 'name of ' || actor, case when old then 'failed' else 'succeeded' end,
                 case when old then 'old' else 'busy-' || n % 50 end,
                 ('00000000-0000-7000-8000-' || lpad((n / 3)::text, 12, '0'))::uuid, 'accepted', 'scheduled', n % 1000,
                 'ivr-call-' || n, '{{\"phoneNumber\": \"+1202•••0198\"}}'
             from generate_series({first}, {last} - 1) as n, lateral (select n < 100000 and n % 100 = 0 as old) as _,
                 lateral (select case when old then 'old' else 'busy' end as actor) as __"
        );
        sqlx::raw_sql(AssertSqlSafe(statement)).execute(&world.database.pool).await?;
        first = last;
    }
    sqlx::raw_sql("vacuum analyze audit_entries").execute(&world.database.pool).await?;
    report::part(&format!("{to} entries"));
    report::rate("entries inserted", to - from, started_at.elapsed());
    Ok(())
}

struct Reader {
    http: Client,
    url: String,
    key: String,
}

impl Reader {
    /// The median of each filter, in microseconds.
    async fn all_pages(&self, entries: u64) -> Outcome<Vec<u64>> {
        report::part(&format!("a page of 50 of {entries} entries"));
        let mut medians = Vec::new();
        for filter in FILTERS {
            let latencies = self.pages(filter).await?;
            report::latencies_of(name_of(filter), &latencies);
            medians.push(latencies.value_at_percentile(50.0));
        }
        Ok(medians)
    }

    async fn pages(&self, filter: &str) -> Outcome<Histogram<u64>> {
        let mut latencies = Histogram::new(3)?;
        for page in 0..FIRST_PAGES + PAGES {
            let asked_at = Instant::now();
            let answer = self.http.get(format!("{}?{filter}", self.url)).bearer_auth(&self.key).send().await?;
            answer.error_for_status()?.bytes().await?;
            if page >= FIRST_PAGES {
                latencies.record(u64::try_from(asked_at.elapsed().as_micros())?)?;
            }
        }
        Ok(latencies)
    }
}

fn name_of(filter: &str) -> &str {
    if filter.is_empty() { "no filter" } else { filter }
}

/// The whole log, read as fast as it comes.
async fn export(world: &World, reader: &Reader, entries: u64) -> Outcome {
    report::part(&format!("{entries} entries as CSV"));
    let idle = world.memory_kib();
    let service = world.service.id();
    let started_at = Instant::now();
    let request = reader.http.get(&reader.url).bearer_auth(&reader.key).header("accept", "text/csv");
    let mut answer = request.send().await?.error_for_status()?;
    let (mut bytes, mut most, mut watched_at) = (0, 0, started_at);
    while let Some(chunk) = answer.chunk().await? {
        bytes += chunk.len() as u64;
        if watched_at.elapsed() > WATCH_EVERY {
            (most, watched_at) = (processes::resident_kib(service).max(most), Instant::now());
        }
    }
    let took = started_at.elapsed();
    report::seconds("time", took);
    report::rate("entries", entries, took);
    report::per("MB a second", bytes, u64::try_from(took.as_micros())?);
    report::memory("memory of the service before", idle);
    report::memory("                      at most, in addition", most.saturating_sub(idle));
    Ok(())
}
