//! A database, a CXone and a service, each as in production: a process of its own, reached over a socket.

use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use serde_json::Value;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, PgPool};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader, Lines};
use tokio::process::{Child, Command};
use uuid::Uuid;

use super::commands::Commands;
use super::cores::{self, Cores};
use super::cxone::Cxone;
use super::load::Posting;

/// What every part gives.
pub type Outcome<T = ()> = anyhow::Result<T>;

const BINARY: &str = env!("CARGO_BIN_EXE_ringback");
/// What is awaited comes much sooner, unless something is broken.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Everything that one part needs, and nothing left over from another.
pub struct World {
    pub cxone: Cxone,
    pub service: Service,
    pub load: Posting,
    pub commands: Commands,
    database: Database,
    quota: String,
}

impl World {
    /// With this quota of CXone's, in requests a minute, as the service is told.
    pub async fn start(quota: &str) -> Outcome<Self> {
        let database = Database::create().await?;
        let cxone = Cxone::start().await?;
        let service = Service::start(&database.url, &cxone.base_url, quota).await?;
        let key = create_key(&database.url).await?;
        let load = Posting::new(&service.base_url, &key)?;
        let commands = Commands::new(&service.base_url, &key);
        Ok(Self { cxone, service, load, commands, database, quota: quota.to_owned() })
    }

    pub async fn restart_service(&mut self) -> Outcome {
        self.service.child.kill().await?;
        self.service = Service::start(&self.database.url, &self.cxone.base_url, &self.quota).await?;
        Ok(())
    }

    pub async fn end(mut self) -> Outcome {
        self.service.child.kill().await?;
        self.database.drop().await
    }

    pub async fn cores(&self) -> Outcome<Cores> {
        let backend: i32 = sqlx::query_scalar("select pg_backend_pid()").fetch_one(&self.database.pool).await?;
        Cores::now(&[("service", self.service.id()?), ("simulator", self.cxone.id()?)], u32::try_from(backend)?)
    }

    /// Callbacks in the database.
    pub async fn kept(&self) -> Outcome<u64> {
        self.count("select count(*) from callbacks").await
    }

    /// Callbacks whose text is sent.
    pub async fn confirmed(&self) -> Outcome<u64> {
        self.count("select count(*) from callbacks where confirmation = 'sent'").await
    }

    pub async fn wait_for_confirmed(&self, wanted: usize) -> Outcome {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let confirmed = self.confirmed().await?;
            if confirmed >= wanted as u64 {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!("only {confirmed} of {wanted} callbacks were confirmed in {} s", PATIENCE.as_secs());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    async fn count(&self, query: &'static str) -> Outcome<u64> {
        let count: i64 = sqlx::query_scalar(query).fetch_one(&self.database.pool).await?;
        Ok(u64::try_from(count)?)
    }
}

struct Database {
    url: String,
    pool: PgPool,
    name: String,
    server: PgConnectOptions,
}

impl Database {
    async fn create() -> Outcome<Self> {
        let server_url =
            std::env::var("DATABASE_URL").context("DATABASE_URL is not set: run this with `make bench`")?;
        let server: PgConnectOptions = server_url.parse()?;
        let name = format!("bench_{}", Uuid::from_u128(u128::from(fastrand::u64(..))).simple());
        let mut connection = PgConnection::connect_with(&server).await?;
        sqlx::raw_sql(AssertSqlSafe(format!("create database {name}"))).execute(&mut connection).await?;
        let pool = PgPoolOptions::new().max_connections(2).connect_lazy_with(server.clone().database(&name));
        let (address, query) = server_url.split_once('?').unwrap_or((&server_url, ""));
        let (address, _) = address.rsplit_once('/').context("DATABASE_URL names no database")?;
        Ok(Self { url: format!("{address}/{name}?{query}"), pool, name, server })
    }

    async fn drop(self) -> Outcome {
        self.pool.close().await;
        let mut connection = PgConnection::connect_with(&self.server).await?;
        let statement = format!("drop database if exists {} with (force)", self.name);
        sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut connection).await?;
        Ok(())
    }
}

/// `ringback serve`, killed when it is dropped.
pub struct Service {
    pub base_url: String,
    /// From the start of the process till it answered that it is ready.
    pub started_in: Duration,
    child: Child,
}

impl Service {
    async fn start(database_url: &str, cxone_url: &str, quota: &str) -> Outcome<Self> {
        let started_at = Instant::now();
        let mut child = Command::new(BINARY)
            .arg("serve")
            .env("DATABASE_URL", database_url)
            .env("LISTEN_ADDR", "127.0.0.1:0")
            .env("CXONE_BASE_URL", cxone_url)
            .env("CXONE_CLIENT_ID", "simulator")
            .env("CXONE_CLIENT_SECRET", "simulator-secret")
            .env("CXONE_REQUESTS_PER_MINUTE", quota)
            .env("LOG_FORMAT", "json")
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let mut lines = BufReader::new(child.stderr.take().context("the service has no stderr")?).lines();
        let address = find_line(&mut lines, |line| {
            let line: Value = serde_json::from_str(line).ok()?;
            (line["message"] == "ready").then(|| line["listen_addr"].as_str().map(str::to_owned))?
        });
        let base_url = format!("http://{}", address.await.context("the service did not start")?);
        read_on(lines);
        reqwest::get(format!("{base_url}/readyz")).await?.error_for_status()?;
        Ok(Self { base_url, started_in: started_at.elapsed(), child })
    }

    pub fn resident_kib(&self) -> Outcome<u64> {
        cores::resident_kib(self.id()?)
    }

    fn id(&self) -> Outcome<u32> {
        self.child.id().context("the service has ended")
    }
}

async fn create_key(database_url: &str) -> Outcome<String> {
    let mut command = Command::new(BINARY);
    command.env("DATABASE_URL", database_url).args(["keys", "create", "--name", "bench"]);
    for scope in ["callbacks:write", "campaigns:write", "campaigns:override", "events:write"] {
        command.args(["--scope", scope]);
    }
    let output = command.output().await?;
    if !output.status.success() {
        bail!("no key: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8(output.stdout)?.trim_end().to_owned())
}

/// What `found` makes of the first line that it wants.
pub async fn find_line<R: AsyncRead + Unpin>(
    lines: &mut Lines<BufReader<R>>,
    found: impl Fn(&str) -> Option<String>,
) -> Outcome<String> {
    let mut said = String::new();
    while let Some(line) = tokio::time::timeout(PATIENCE, lines.next_line()).await.context("it says nothing")?? {
        if let Some(found) = found(&line) {
            return Ok(found);
        }
        said.push_str(&line);
        said.push('\n');
    }
    bail!("it ended, and said: {said}")
}

/// Whoever stops reading a pipe stops its writer.
pub fn read_on<R: AsyncRead + Unpin + Send + 'static>(mut lines: Lines<BufReader<R>>) {
    tokio::spawn(async move { tokio::io::copy(lines.get_mut(), &mut tokio::io::sink()).await });
}
