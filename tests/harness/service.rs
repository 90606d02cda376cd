//! The service's processes.

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};

use ringback::simulator;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::{Child, Command};
use uuid::Uuid;

use super::{Control, Database, PATIENCE, processes, wire};

pub const BINARY: &str = env!("CARGO_BIN_EXE_ringback");

/// The program that services and simulators run: `RINGBACK_BINARY`, which the benchmarks set, or the one of this build.
pub fn binary() -> PathBuf {
    std::env::var_os("RINGBACK_BINARY").map_or_else(|| BINARY.into(), PathBuf::from)
}

/// A running program whose output is kept. Killed when it is dropped.
pub struct Process {
    child: Child,
    /// What it printed on stderr until it was ready.
    before: String,
    stdout: tokio::task::JoinHandle<String>,
    log: tokio::task::JoinHandle<String>,
}

impl Process {
    /// Starts a program, and waits for the first line on stderr in which `find` finds something.
    pub async fn start(mut command: Command, find: impl Fn(&str) -> Option<String>) -> (Self, String) {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
        let mut output = child.stdout.take().unwrap();
        // A full pipe would block the program.
        let stdout = tokio::spawn(async move {
            let mut printed = String::new();
            let _ = output.read_to_string(&mut printed).await;
            printed
        });
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut before = String::new();
        let found = loop {
            let line = tokio::time::timeout(PATIENCE, lines.next_line()).await.expect("no output").unwrap();
            let line = line.unwrap_or_else(|| panic!("it ended before it was ready: {before}"));
            before.push_str(&line);
            before.push('\n');
            if let Some(found) = find(&line) {
                break found;
            }
        };
        let log = tokio::spawn(async move {
            let mut log = String::new();
            while let Ok(Some(line)) = lines.next_line().await {
                log.push_str(&line);
                log.push('\n');
            }
            log
        });
        (Self { child, before, stdout, log }, found)
    }

    pub fn id(&self) -> u32 {
        self.child.id().expect("it has not ended")
    }
}

/// `ringback serve`, running and ready. Killed when it is dropped.
pub struct Service {
    pub base_url: String,
    process: Process,
}

impl Service {
    /// Starts it with settings in addition to the harness's own, and waits until it is ready.
    pub async fn start(database: &Database, cxone: &Control, settings: &[(&str, &str)]) -> Self {
        Self::at(&database.url, cxone, settings).await
    }

    /// Like [`start`](Self::start), with another URL of the database.
    pub async fn at(database_url: &str, cxone: &Control, settings: &[(&str, &str)]) -> Self {
        let command = serve(database_url, &cxone.base_url, settings);
        let (process, address) = Process::start(command, |line| {
            let line: Value = serde_json::from_str(line).ok()?;
            (line["message"] == "ready").then(|| line["listen_addr"].as_str().map(str::to_owned))?
        })
        .await;
        if wire::is_nice() {
            wire::map_skills(database_url, cxone).await;
        }
        Self { base_url: format!("http://{address}"), process }
    }

    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Sends a signal, such as `STOP`.
    pub async fn signal(&self, name: &str) {
        assert!(processes::signal(name, &[self.id()]).await, "it has ended");
    }

    /// Kills it with SIGKILL.
    pub async fn kill(mut self) {
        self.process.child.kill().await.unwrap();
    }

    /// Ends it with SIGTERM, so that it writes all of its log, and returns the log.
    pub async fn log_at_end(mut self) -> String {
        self.signal("TERM").await;
        tokio::time::timeout(PATIENCE, self.process.child.wait()).await.expect("it does not end").unwrap();
        self.process.log.await.unwrap()
    }

    /// Ends it with SIGTERM, and returns all that it printed since it started.
    pub async fn printed_at_end(mut self) -> String {
        self.signal("TERM").await;
        tokio::time::timeout(PATIENCE, self.process.child.wait()).await.expect("it does not end").unwrap();
        [self.process.before, self.process.log.await.unwrap(), self.process.stdout.await.unwrap()].concat()
    }

    /// Ends it with SIGTERM. Panics if it has not ended after [`PATIENCE`].
    pub async fn terminate(mut self) -> ExitStatus {
        self.signal("TERM").await;
        tokio::time::timeout(PATIENCE, self.process.child.wait()).await.expect("it does not end").unwrap()
    }
}

/// The command `ringback serve` with settings in addition to the harness's own.
pub fn serve(database_url: &str, cxone_url: &str, settings: &[(&str, &str)]) -> Command {
    serve_with(&binary(), database_url, cxone_url, settings)
}

/// Like [`serve`], with another build of the program.
pub fn serve_with(binary: &Path, database_url: &str, cxone_url: &str, settings: &[(&str, &str)]) -> Command {
    let known = simulator::Settings::default();
    let mut command = Command::new(binary);
    command
        .arg("serve")
        .env("DATABASE_URL", database_url)
        .env("LISTEN_ADDR", "127.0.0.1:0")
        .env("CXONE_BASE_URL", cxone_url)
        .env("CXONE_CLIENT_ID", known.client_id)
        .env("CXONE_CLIENT_SECRET", known.client_secret)
        .env("CXONE_REQUESTS_PER_MINUTE", "1000000")
        .env("LOG_FORMAT", "json")
        .env("RUST_LOG", "info")
        .envs(if wire::is_nice() { wire::nice_settings(cxone_url) } else { Vec::new() })
        .envs(settings.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// Creates an API key with these scopes, faster than `ringback keys create` does.
pub async fn create_key(database: &Database, scopes: &[&str]) -> String {
    let secret = format!("rbk_{}", Uuid::now_v7().simple());
    let row = "insert into api_keys (id, name, secret_hash, scopes, created_at)
               values ($1, 'test', sha256(convert_to($2, 'utf8')), $3, clock_timestamp())";
    let row = sqlx::query(row).bind(Uuid::now_v7()).bind(&secret).bind(scopes);
    row.execute(&database.pool).await.unwrap();
    secret
}

/// Creates an API key with these scopes, by `ringback keys create`.
pub async fn create_key_with(binary: &Path, database_url: &str, scopes: &[&str]) -> String {
    let mut command = Command::new(binary);
    command.env("DATABASE_URL", database_url).args(["keys", "create", "--name", "test"]);
    for scope in scopes {
        command.args(["--scope", scope]);
    }
    let output = command.output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}
