//! How long each migration takes, and how long it stops those who write: a database of an older version is filled with
//! millions of rows, and is migrated while four writers write to the large tables. `make migrations` runs it.

#[path = "../../tests/harness/mod.rs"]
mod harness;

use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use sqlx::migrate::Migrator;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use tokio::task::JoinHandle;

use harness::{Durability, Postgres};

static MIGRATIONS: LazyLock<Migrator> = LazyLock::new(|| sqlx::migrate!());

/// The version whose tables `fill.sql` knows: the last one before the log of Merkle trees, partitions and erasure.
const FILLED_VERSION: i64 = 23;
/// Rows of one transaction of `fill.sql`.
const ROWS_AT_ONCE: u64 = 100_000;
/// Between two writes to a table.
const WRITE_EVERY: Duration = Duration::from_millis(5);

/// A write to each large table, which each version since [`FILLED_VERSION`] can do. None changes a row that a migration reads.
const WRITES: [(&str, &str); 4] = [
    ("callbacks", "update callbacks set updated_at = updated_at where id = (select id from callbacks limit 1)"),
    (
        "audit_entries",
        r#"insert into audit_entries (id, "timestamp", action, actor_type, actor_id, actor_name, outcome)
           values (gen_random_uuid(), now(), 'callback.accepted', 'system', 'probe', 'probe', 'succeeded')"#,
    ),
    (
        "idempotency_keys",
        "update idempotency_keys set leased_until = leased_until where key = 'key-1' and resource_id is not null",
    ),
    (
        "webhook_events",
        "insert into webhook_events (id, type, campaign_id, body, created_at)
         values (gen_random_uuid(), 'test', 'campaign', '{}', now())",
    ),
];

fn main() -> anyhow::Result<()> {
    let rows = std::env::var("MIGRATIONS_ROWS").ok().map_or(Ok(10_000_000), |rows| rows.parse())?;
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(measure(rows))
}

async fn measure(rows: u64) -> anyhow::Result<()> {
    let postgres = Postgres::start(Durability::Synced).await;
    let mut connection = PgConnection::connect(&postgres.url()).await?;
    MIGRATIONS.run_to(FILLED_VERSION, &mut connection).await?;
    let filling = Instant::now();
    for first in (1..=rows).step_by(usize::try_from(ROWS_AT_ONCE)?) {
        let last = rows.min(first + ROWS_AT_ONCE - 1);
        let fill = include_str!("fill.sql").replace("{first}", &first.to_string()).replace("{last}", &last.to_string());
        sqlx::raw_sql(AssertSqlSafe(fill)).execute(&mut connection).await?;
    }
    sqlx::raw_sql("vacuum analyze").execute(&mut connection).await?;
    println!("{rows} callbacks, {} audit entries: filled in {:.0} s", 2 * rows, filling.elapsed().as_secs_f64());
    println!(
        "the time of each migration after {FILLED_VERSION}, and the longest time that a writer had to wait, in seconds"
    );

    let writers: Vec<Writer> = WRITES.map(|(table, sql)| Writer::start(postgres.url(), table, sql)).into();
    tokio::time::sleep(Duration::from_secs(1)).await;
    for migration in MIGRATIONS.iter().filter(|migration| migration.version > FILLED_VERSION) {
        for writer in &writers {
            writer.longest_us.store(0, Ordering::Relaxed);
        }
        let began = Instant::now();
        MIGRATIONS.run_to(migration.version, &mut connection).await?;
        let took = began.elapsed();
        // So that a write that waited has ended.
        tokio::time::sleep(Duration::from_millis(200)).await;
        let waits = writers.iter().map(Writer::shown).collect::<Vec<_>>().join("  ");
        let name = format!("{:04} {}", migration.version, migration.description);
        println!("{name:<40} {:>8.2}   {waits}", took.as_secs_f64());
    }
    for writer in &writers {
        writer.task.abort();
    }
    Ok(())
}

/// Writes to a table for as long as the program runs.
struct Writer {
    table: &'static str,
    task: JoinHandle<()>,
    longest_us: Arc<AtomicU64>,
}

impl Writer {
    fn start(url: String, table: &'static str, sql: &'static str) -> Self {
        let longest_us = Arc::new(AtomicU64::new(0));
        let longest = Arc::clone(&longest_us);
        let task = tokio::spawn(async move {
            let Err(error) = write(&url, sql, &longest).await;
            eprintln!("writes to {table} have failed: {error}");
        });
        Self { table, task, longest_us }
    }

    #[expect(clippy::cast_precision_loss, reason = "microseconds of minutes")]
    fn shown(&self) -> String {
        format!("{} {:.2}", self.table, self.longest_us.load(Ordering::Relaxed) as f64 / 1e6)
    }
}

async fn write(url: &str, sql: &'static str, longest_us: &AtomicU64) -> anyhow::Result<Infallible> {
    let mut connection = PgConnection::connect(url).await?;
    loop {
        let began = Instant::now();
        sqlx::raw_sql(sql).execute(&mut connection).await?;
        longest_us.fetch_max(u64::try_from(began.elapsed().as_micros())?, Ordering::Relaxed);
        tokio::time::sleep(WRITE_EVERY).await;
    }
}
