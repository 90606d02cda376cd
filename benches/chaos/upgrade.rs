//! `make upgrade`: replicas of an older version under load, while the schema is migrated and they are replaced one by one.

use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use serde_json::json;
use sqlx::{Connection as _, PgConnection};
use tokio::process::Command;
use tokio_util::sync::CancellationToken;

use super::client::Client;
use super::harness::{Durability, Postgres};
use super::load::Load;
use super::nemesis::Nemesis;
use super::replicas::{Launch, Replica};
use super::sealed_log::SealedLog;
use super::settings::Settings;
use super::system::System;
use super::writers::Writers;

const DRAIN_WITHIN: Duration = Duration::from_secs(30);
const READ_EVERY: Duration = Duration::from_secs(1);
const READ_TIMEOUT: Duration = Duration::from_secs(10);
/// What each replica is asked for, whichever version wrote it. An answer of 5xx is a violation.
const READS: [&str; 5] =
    ["/v1/callbacks?limit=200", "/v1/audit?limit=200", "/v1/audit/verification", "/v1/campaigns", "/readyz"];

/// A run; gives how many violations there were.
pub async fn run(settings: &Settings) -> anyhow::Result<usize> {
    let old_binary = settings.old_binary.clone().context("--old-binary is not given")?;
    let postgres = Postgres::start(Durability::Fast).await;
    let mut system = System::start(settings, old_binary.clone(), postgres.url()).await?;
    let mut replicas = system.start_replicas().await?;
    let client = system.client(&replicas).await?;
    let from = version(&postgres).await?;
    system.cxone.fail(settings.faults()).await?;
    let load = Load::start(&client, settings.rate, &mut system.rng);
    let writers = Writers::start(&load.callers, &mut system.rng);
    let stop = CancellationToken::new();
    tokio::spawn(stop.clone().run_until_cancelled_owned(read(client.clone())));
    system.launch.binary = settings.binary.clone();
    let steps =
        Steps { lasting: Duration::from_secs(settings.step_seconds), writers, log: SealedLog::default(), client };

    let steps = steps.run(&mut replicas, &system.launch, &postgres, from, &old_binary).await?;
    stop.cancel();
    let Steps { writers, log, client, .. } = steps;
    drop(writers);
    let nemesis = Nemesis::new(client.record.clone());
    let violations = system.finish(settings, &client, load, log, &nemesis).await?;
    drop((replicas, postgres));
    Ok(violations)
}

struct Steps {
    lasting: Duration,
    writers: Writers,
    log: SealedLog,
    client: Client,
}

impl Steps {
    /// `launch` has the newer program.
    async fn run(
        mut self,
        replicas: &mut [Replica],
        launch: &Launch,
        postgres: &Postgres,
        from: i64,
        old_binary: &std::path::Path,
    ) -> anyhow::Result<Self> {
        self.step("all replicas have the old version").await;
        let migrated_at = Instant::now();
        migrate(launch).await?;
        let (to, took) = (version(postgres).await?, migrated_at.elapsed());
        println!("migrated from {from} to {to} in {:.2} s", took.as_secs_f64());
        self.step("all replicas have the old version, on the new schema").await;
        let last = replicas.len() - 1;
        self.replace(&mut replicas[last], &launch.binary).await?;
        self.step("one replica has the new version").await;
        if starts_on_newer_schema(postgres, from).await? {
            self.replace(&mut replicas[last], old_binary).await?;
            self.step("the new replica is rolled back to the old version").await;
            self.replace(&mut replicas[last], &launch.binary).await?;
        } else {
            println!("the old version does not start on the new schema: no replica is rolled back");
        }
        for (index, replica) in replicas.iter_mut().enumerate().take(last) {
            self.replace(replica, &launch.binary).await?;
            self.step(&format!("{} replicas have the new version", index + 2)).await;
        }
        Ok(self)
    }

    /// Runs under load for a while. All replicas must acknowledge writes.
    async fn step(&mut self, what: &str) {
        let began = Instant::now();
        self.log.keep_checkpoint(&self.client).await;
        tokio::time::sleep(self.lasting).await;
        let back = self.writers.back_after(began, self.lasting).await;
        let acknowledged = self.client.record.acknowledgements();
        let first = back.iter().map(|back| back.map_or("never".into(), |back| format!("{:.2} s", back.as_secs_f64())));
        println!(
            "{what}: {acknowledged} callbacks acknowledged so far; first writes after {}",
            first.collect::<Vec<_>>().join(", ")
        );
        if back.contains(&None) {
            self.client
                .record
                .wrong("a replica acknowledged no write during a step of an upgrade", json!({ "step": what }));
        }
    }

    /// Drains a replica, and starts it again as another version.
    async fn replace(&self, replica: &mut Replica, binary: &std::path::Path) -> anyhow::Result<()> {
        if replica.drain(DRAIN_WITHIN).await?.is_none_or(|status| !status.success()) {
            self.client.record.wrong("a draining replica did not exit 0 in time", json!({ "replica": replica.index }));
        }
        replica.set_binary(binary);
        replica.serve().await?;
        Ok(())
    }
}

/// Reads lists from every replica, until it is dropped.
async fn read(client: Client) {
    let mut turns = tokio::time::interval(READ_EVERY);
    loop {
        turns.tick().await;
        for replica in 0..client.replicas.len() {
            for path in READS {
                client.look(replica, path, READ_TIMEOUT).await;
            }
        }
    }
}

/// `ringback migrate`
async fn migrate(launch: &Launch) -> anyhow::Result<()> {
    let mut command = Command::new(&launch.binary);
    command.arg("migrate").env("DATABASE_URL", &launch.database_url).stdin(Stdio::null());
    let output = command.output().await?;
    if !output.status.success() {
        bail!("ringback migrate: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

async fn version(postgres: &Postgres) -> anyhow::Result<i64> {
    let mut connection = PgConnection::connect(&postgres.url()).await?;
    Ok(sqlx::query_scalar("select max(version) from _sqlx_migrations").fetch_one(&mut connection).await?)
}

/// Whether a program of this version of the schema starts on the newer one.
async fn starts_on_newer_schema(postgres: &Postgres, version: i64) -> anyhow::Result<bool> {
    let mut connection = PgConnection::connect(&postgres.url()).await?;
    let oldest = sqlx::query_scalar("select oldest_program from schema_compatibility");
    let oldest: i64 = oldest.fetch_one(&mut connection).await?;
    Ok(version >= oldest)
}
