//! `make chaos`: replicas, Postgres and CXone fail at moments that chance decides.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use super::COMMANDED;
use super::harness::{Durability, Postgres};
use super::load::Load;
use super::nemesis::Nemesis;
use super::outsiders::Outsiders;
use super::record::Record;
use super::report;
use super::sealed_log::SealedLog;
use super::settings::Settings;
use super::system::System;

const SAY_EVERY: Duration = Duration::from_secs(10);

/// A run; gives how many violations there were.
pub async fn run(settings: &Settings) -> anyhow::Result<usize> {
    let postgres = Postgres::start(Durability::Synced).await;
    let mut system = System::start(settings, settings.binary.clone(), postgres.url()).await?;
    let replicas = system.start_replicas().await?;
    let client = system.client(&replicas).await?;
    let cxone = Arc::clone(&system.cxone);
    cxone.fail(settings.faults()).await?;
    cxone.set_resumes_itself(system.rng.bool()).await;
    let outsiders = Outsiders { cxone: Arc::clone(&cxone), campaigns: COMMANDED.map(str::to_owned).to_vec() };
    let load = Load::start(&client, settings.rate, &mut system.rng);
    let nemesis = Nemesis::new(client.record.clone());
    let of_replicas = tokio::spawn(nemesis.clone().of_replicas(replicas, cxone, system.rng.fork()));
    let of_postgres = tokio::spawn(nemesis.clone().of_postgres(postgres, system.rng.fork()));
    let of_campaigns = tokio::spawn(outsiders.run(system.rng.fork(), nemesis.stop.clone()));
    wait(settings, &nemesis, &client.record, (&of_replicas, &of_postgres)).await;
    nemesis.stop.cancel();
    of_campaigns.await?;
    // They run until the end: dropped, they would be killed.
    let (_replicas, _postgres) = (of_replicas.await??, of_postgres.await??);
    system.finish(settings, &client, load, SealedLog::default(), &nemesis).await
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
