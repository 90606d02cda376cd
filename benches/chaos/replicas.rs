//! Replicas of the service, each a process with an address that stays the same.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use reqwest::Client;
use tokio::net::TcpListener;
use tokio::process::Child;

use super::harness::processes::signal;
use super::harness::{plain_http, serve_with};

/// A start waits for Postgres, which may be down for some seconds.
const START_PATIENCE: Duration = Duration::from_mins(2);
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// A request to a CXone that hangs ends after this.
const CXONE_TIMEOUT_MS: &str = "3000";
/// Other users change campaigns all the time here.
const CAMPAIGN_CHECK_MS: &str = "5000";
/// Of nobody's.
const WEBHOOK_SECRET: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

const SIGNING_KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// What all replicas have in common.
#[derive(Clone)]
pub struct Launch {
    pub binary: PathBuf,
    pub database_url: String,
    pub quota: u32,
    /// Where webhooks go.
    pub receiver_url: String,
    /// For the replicas' logs.
    pub logs: PathBuf,
}

/// One replica. Killed when it is dropped.
pub struct Replica {
    pub index: usize,
    pub url: String,
    address: String,
    cxone_url: String,
    launch: Launch,
    process: Option<Child>,
    http: Client,
}

impl Replica {
    /// Chooses its address; `serve` starts it.
    pub async fn new(index: usize, cxone_url: &str, launch: &Launch) -> anyhow::Result<Self> {
        let address = TcpListener::bind("127.0.0.1:0").await?.local_addr()?.to_string();
        File::create(launch.logs.join(format!("replica-{index}.log")))?;
        Ok(Self {
            index,
            url: format!("http://{address}"),
            address,
            cxone_url: cxone_url.to_owned(),
            launch: launch.clone(),
            process: None,
            http: plain_http().timeout(Duration::from_secs(1)).build()?,
        })
    }

    /// The program of its next start.
    pub fn set_binary(&mut self, binary: &Path) {
        binary.clone_into(&mut self.launch.binary);
    }

    /// Starts it, as often as it takes; gives the moment at which the process started that became ready.
    pub async fn serve(&mut self) -> anyhow::Result<Instant> {
        let deadline = Instant::now() + START_PATIENCE;
        while Instant::now() < deadline {
            let started_at = Instant::now();
            let mut process = self.spawn()?;
            if self.becomes_ready(&mut process, deadline).await? {
                self.process = Some(process);
                return Ok(started_at);
            }
        }
        bail!("replica {} does not become ready", self.index)
    }

    pub async fn kill(&mut self) -> anyhow::Result<()> {
        let mut process = self.process.take().context("the replica is not running")?;
        Ok(process.kill().await?)
    }

    /// Stops it where it is, for so long.
    pub async fn freeze(&self, lasting: Duration) -> anyhow::Result<()> {
        let id = self.process.as_ref().and_then(Child::id).context("the replica is not running")?;
        signal("STOP", &[id]).await;
        tokio::time::sleep(lasting).await;
        signal("CONT", &[id]).await;
        Ok(())
    }

    /// SIGTERM; none where it has not ended in time, and is killed.
    pub async fn drain(&mut self, within: Duration) -> anyhow::Result<Option<ExitStatus>> {
        let mut process = self.process.take().context("the replica is not running")?;
        signal("TERM", &[process.id().context("the replica has ended")?]).await;
        match tokio::time::timeout(within, process.wait()).await {
            Ok(status) => Ok(Some(status?)),
            Err(_) => {
                process.kill().await?;
                Ok(None)
            }
        }
    }

    /// How it ended, where nobody ended it.
    pub fn ended_by_itself(&mut self) -> anyhow::Result<Option<ExitStatus>> {
        let Some(process) = &mut self.process else { return Ok(None) };
        let status = process.try_wait()?;
        if status.is_some() {
            self.process = None;
        }
        Ok(status)
    }

    fn spawn(&self) -> anyhow::Result<Child> {
        let quota = self.launch.quota.to_string();
        let settings = [
            ("LISTEN_ADDR", self.address.as_str()),
            ("CXONE_REQUESTS_PER_MINUTE", &quota),
            ("CXONE_TIMEOUT_MS", CXONE_TIMEOUT_MS),
            ("CAMPAIGN_CHECK_MS", CAMPAIGN_CHECK_MS),
            ("WFO_WEBHOOK_URL", &self.launch.receiver_url),
            ("WFO_WEBHOOK_SECRET", WEBHOOK_SECRET),
            ("WEBHOOKS_ALLOW_LOOPBACK", "true"),
            ("AUDIT_SIGNING_KEY", SIGNING_KEY),
            ("AUDIT_LOG_ORIGIN", "example.com/chaos"),
        ];
        let log = self.launch.logs.join(format!("replica-{}.log", self.index));
        let mut command = serve_with(&self.launch.binary, &self.launch.database_url, &self.cxone_url, &settings);
        Ok(command.stderr(File::options().append(true).open(log)?).process_group(0).spawn()?)
    }

    /// False where it ends instead, as it may while Postgres is away.
    async fn becomes_ready(&self, process: &mut Child, deadline: Instant) -> anyhow::Result<bool> {
        while Instant::now() < deadline {
            if process.try_wait()?.is_some() {
                tokio::time::sleep(LOOK_EVERY).await;
                return Ok(false);
            }
            let answer = self.http.get(format!("{}/readyz", self.url)).send().await;
            if answer.is_ok_and(|answer| answer.status().is_success()) {
                return Ok(true);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(false)
    }
}
