//! What all runs have: CXone, a receiver of webhooks, replicas, clients, and the judgement at the end.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use fastrand::Rng;

use super::client::Client;
use super::cxone::Cxone;
use super::harness::create_key_with;
use super::load::Load;
use super::nemesis::Nemesis;
use super::receiver::Receiver;
use super::record::Record;
use super::replicas::{Launch, Replica};
use super::sealed_log::SealedLog;
use super::settings::Settings;
use super::{CALLED, COMMANDED, QUOTA, end, report, verdict};

/// What the clients need.
const SCOPES: [&str; 5] = ["callbacks:write", "callbacks:read", "campaigns:write", "campaigns:read", "audit:read"];

/// Everything around the replicas but their Postgres.
pub struct System {
    pub rng: Rng,
    pub cxone: Arc<Cxone>,
    pub launch: Launch,
    receiver: Receiver,
}

impl System {
    /// Starts it for replicas that use this database, and run this binary.
    pub async fn start(settings: &Settings, binary: PathBuf, database_url: String) -> anyhow::Result<Self> {
        let seed = settings.seed();
        let logs = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(settings.scenario.to_string());
        std::fs::create_dir_all(&logs)?;
        report::start(settings, &binary, seed, &logs);
        let mut rng = Rng::with_seed(seed);
        let campaigns: Vec<String> = CALLED.into_iter().chain(COMMANDED).map(str::to_owned).collect();
        let cxone = Arc::new(Cxone::start(settings.replicas.into(), &campaigns, rng.u64(..), QUOTA).await?);
        let receiver = Receiver::start(rng.fork()).await;
        let launch = Launch { binary, database_url, quota: QUOTA, receiver_url: receiver.url().to_owned(), logs };
        Ok(Self { rng, cxone, launch, receiver })
    }

    /// One replica for each address of CXone, each ready.
    pub async fn start_replicas(&self) -> anyhow::Result<Vec<Replica>> {
        let mut replicas = Vec::new();
        for (index, cxone_url) in self.cxone.urls.iter().enumerate() {
            let mut replica = Replica::new(index, cxone_url, &self.launch).await?;
            replica.serve().await?;
            replicas.push(replica);
        }
        Ok(replicas)
    }

    /// A client of these replicas with a new key.
    pub async fn client(&self, replicas: &[Replica]) -> anyhow::Result<Client> {
        let key = create_key_with(&self.launch.binary, &self.launch.database_url, &SCOPES).await;
        let urls = replicas.iter().map(|replica| replica.url.clone()).collect();
        Client::new(urls, key, Record::default())
    }

    /// Ends the load and the faults, lets everything settle, and judges. Returns how many violations there were.
    pub async fn finish(
        mut self,
        settings: &Settings,
        client: &Client,
        load: Load,
        log: SealedLog,
        nemesis: &Nemesis,
    ) -> anyhow::Result<usize> {
        let stopped_at = Instant::now();
        load.finish(client, &mut self.rng).await;
        self.cxone.heal().await;
        let settled = end::settle(client, &self.cxone, &COMMANDED, settings.settle_within()).await?;
        let evidence = end::collect(client, &self.cxone, &self.receiver, settled).await?;
        log.verify(&self.launch, &client.record).await?;
        let mut violations = std::mem::take(&mut client.record.kept().violations);
        violations.extend(verdict::judge(&evidence));
        violations.extend(end::quota(&self.cxone, QUOTA).await);
        // What cannot be undone comes first.
        violations.sort_by_key(|violation| violation.kind);
        report::end(nemesis, &client.record, &self.cxone, &evidence, stopped_at);
        report::violations(&violations, &self.launch.logs)?;
        Ok(violations.len())
    }
}
