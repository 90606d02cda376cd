//! What every end-to-end test stands on: a database, a CXone, a service.

mod answer;
mod campaign;
mod client;
mod load;
mod lossy;
mod misbehaviour;
mod postgres;
mod receiver;

use std::future::Future;
use std::process::Stdio;
use std::time::{Duration, Instant};

pub use answer::{Answer, instant, payload_from};
pub use campaign::{in_ms, pause, pause_with, window};
pub use client::client_of;
pub use load::{caller, received_at, tally, text};
pub use lossy::{Loss, Lossy};
pub use postgres::Postgres;
pub use receiver::{ENCRYPTION_KEY, Received, Receiver, Reply};
use reqwest::{Client, Method, RequestBuilder, Response};
use ringback::simulator::{self, Campaign, CampaignState};
use serde_json::{Value, json};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, PgPool};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// The campaign of the project's first payload: no UUID, and valid.
pub const CAMPAIGN: &str = "a1b2c3d4-e5f6-7890-g1h2-i3j4k5l6m7n8";
/// A campaign that is dialing, under a UUID as commands want it.
pub const DIALING: &str = "0192f0c4-1111-7000-8000-000000000001";
/// A campaign that CXone knows and does not dial.
pub const INACTIVE_CAMPAIGN: &str = "inactive";
/// The caller of the project's first payload.
pub const CALLER: &str = "+12025550198";

pub const BINARY: &str = env!("CARGO_BIN_EXE_ringback");
/// What is awaited comes much sooner, unless something is broken.
const PATIENCE: Duration = Duration::from_secs(45);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A database of its own, dropped at the end.
pub struct Database {
    pub url: String,
    pub pool: PgPool,
    name: String,
    server: PgConnectOptions,
}

impl Database {
    /// A new database, empty until something migrates it.
    pub async fn create() -> Self {
        Self::create_on(&std::env::var("DATABASE_URL").expect("DATABASE_URL is set: run the tests with `make test`"))
            .await
    }

    /// The same, on a server of the test's own.
    pub async fn create_on(server_url: &str) -> Self {
        let server: PgConnectOptions = server_url.parse().expect("DATABASE_URL is a Postgres URL");
        let name = format!("test_{}", Uuid::now_v7().simple());
        let mut connection = PgConnection::connect_with(&server).await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(format!("create database {name}"))).execute(&mut connection).await.unwrap();
        let pool = PgPoolOptions::new().max_connections(4).connect_lazy_with(server.clone().database(&name));
        Self { url: with_database(server_url, &name), pool, name, server }
    }

    /// Drops it, with whoever is still connected.
    pub async fn drop(self) {
        self.pool.close().await;
        let mut connection = PgConnection::connect_with(&self.server).await.unwrap();
        let statement = format!("drop database if exists {} with (force)", self.name);
        sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut connection).await.unwrap();
    }
}

/// The same server, another database.
fn with_database(url: &str, name: &str) -> String {
    let (address, query) = url.split_once('?').map_or((url, None), |(address, query)| (address, Some(query)));
    let (server, _) = address.rsplit_once('/').expect("DATABASE_URL names a database");
    query.map_or(format!("{server}/{name}"), |query| format!("{server}/{name}?{query}"))
}

/// A CXone of its own.
pub struct Cxone {
    pub base_url: String,
    simulator: simulator::Simulator,
    http: Client,
    stop: CancellationToken,
}

impl Cxone {
    pub async fn start() -> Self {
        let simulator = simulator::Simulator::new(simulator::Settings::default());
        simulator.add_campaign(CAMPAIGN, Campaign::default());
        simulator.add_campaign(DIALING, Campaign::default());
        let inactive = Campaign { state: CampaignState::Inactive, ..Campaign::default() };
        simulator.add_campaign(INACTIVE_CAMPAIGN, inactive);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base_url = format!("http://{}", listener.local_addr().unwrap());
        let stop = CancellationToken::new();
        tokio::spawn(simulator::serve(listener, simulator.clone(), stop.clone().cancelled_owned()));
        Self { base_url, simulator, http: ringback::tls::client(), stop }
    }

    /// Asks the control API.
    pub async fn control(&self, method: Method, path: &str, body: Option<Value>) -> Value {
        let mut request = self.http.request(method, format!("{}/_control/{path}", self.base_url));
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.unwrap();
        assert!(answer.status().is_success(), "/_control/{path} answered {}", answer.status());
        answer.json().await.unwrap_or(Value::Null)
    }

    /// Makes CXone misbehave, as the simulator's control API describes it.
    pub async fn fault(&self, fault: Value) {
        self.control(Method::POST, "faults", Some(fault)).await;
    }

    pub async fn heal(&self) {
        self.control(Method::DELETE, "faults", None).await;
    }

    /// The contacts that were made: `{at, contact, repeats}`.
    pub async fn contacts(&self) -> Vec<Value> {
        self.list("contacts").await
    }

    /// The texts that were sent: `{at, sessionId, to, from, message}`.
    pub async fn messages(&self) -> Vec<Value> {
        self.list("messages").await
    }

    /// The requests that came in, of one route or of all.
    pub async fn received(&self, route: &str) -> Vec<Value> {
        self.list(&format!("received?route={route}")).await
    }

    /// A campaign, as it is there.
    pub async fn campaign(&self, id: &str) -> Value {
        let campaigns = self.list("campaigns").await;
        campaigns.into_iter().find(|campaign| campaign["id"] == id).expect("CXone has the campaign")
    }

    /// The campaign once it is in this state.
    pub async fn campaign_when(&self, id: &str, state: &str) -> Value {
        eventually(&format!("campaign {id} to be {state}"), async || {
            let campaign = self.campaign(id).await;
            if campaign["state"] == state { Ok(campaign) } else { Err(campaign.to_string()) }
        })
        .await
    }

    /// Somebody in CXone changes a campaign.
    pub async fn change_campaign(&self, id: &str, change: Value) {
        self.control(Method::PUT, &format!("campaigns/{id}"), Some(change)).await;
    }

    /// Returns once a request of this route has come in.
    pub async fn asked(&self, route: &str) {
        eventually(&format!("a request of {route}"), async || {
            if self.received(route).await.is_empty() { Err("none came".to_owned()) } else { Ok(()) }
        })
        .await;
    }

    /// Returns once a contact is there.
    pub async fn contact_made(&self) {
        eventually("a contact", async || {
            if self.contacts().await.is_empty() { Err("none was made".to_owned()) } else { Ok(()) }
        })
        .await;
    }

    async fn list(&self, path: &str) -> Vec<Value> {
        match self.control(Method::GET, path, None).await {
            Value::Array(items) => items,
            Value::Object(mut members) => match members.remove("data") {
                Some(Value::Array(items)) => items,
                other => panic!("/_control/{path} lists nothing: {other:?}"),
            },
            other => panic!("/_control/{path} lists nothing: {other}"),
        }
    }
}

impl Drop for Cxone {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// The real binary, serving. Killed when it is dropped.
pub struct Service {
    pub base_url: String,
    child: Child,
    log: tokio::task::JoinHandle<String>,
}

impl Service {
    /// Starts `ringback serve` with settings on top of the test's own, and waits until it is ready.
    pub async fn start(database: &Database, cxone: &Cxone, settings: &[(&str, &str)]) -> Self {
        Self::at(&database.url, cxone, settings).await
    }

    /// The same, with a way of its own to the database.
    pub async fn at(database_url: &str, cxone: &Cxone, settings: &[(&str, &str)]) -> Self {
        let mut child = serve(database_url, &cxone.base_url, settings).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let base_url = loop {
            let line = lines.next_line().await.unwrap().expect("the service says that it is ready before it ends");
            let line: Value = serde_json::from_str(&line).unwrap_or_default();
            if line["message"] == "ready" {
                break format!("http://{}", line["listen_addr"].as_str().unwrap());
            }
        };
        // Whoever stops reading a pipe stops its writer.
        let log = tokio::spawn(async move {
            let mut log = String::new();
            while let Ok(Some(line)) = lines.next_line().await {
                log.push_str(&line);
                log.push('\n');
            }
            log
        });
        Self { base_url, child, log }
    }

    /// Ends it, and gives all that it logged.
    pub async fn log_at_end(mut self) -> String {
        self.child.kill().await.unwrap();
        self.log.await.unwrap()
    }

    /// SIGKILL: nothing is finished, nothing is said.
    pub async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }

    /// Sends a signal, such as `-STOP`.
    pub async fn signal(&self, signal: &str) {
        let id = self.child.id().unwrap().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().await.unwrap().success());
    }

    /// The memory that it has now, in KiB.
    pub async fn resident_kib(&self) -> u64 {
        let status = format!("/proc/{}/status", self.child.id().unwrap());
        let status = tokio::fs::read_to_string(status).await.unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// SIGTERM; gives the exit status and how long it took.
    pub async fn terminate(mut self) -> (std::process::ExitStatus, Duration) {
        let started = Instant::now();
        let id = self.child.id().unwrap().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().await.unwrap().success());
        let status = tokio::time::timeout(PATIENCE, self.child.wait()).await.unwrap().unwrap();
        (status, started.elapsed())
    }
}

/// `ringback serve`, not yet started.
pub fn serve(database_url: &str, cxone_url: &str, settings: &[(&str, &str)]) -> Command {
    let known = simulator::Settings::default();
    let mut command = Command::new(BINARY);
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
        .envs(settings.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// A key made by `ringback keys create`, with these scopes.
pub async fn create_key(database: &Database, scopes: &[&str]) -> String {
    let mut command = Command::new(BINARY);
    command.env("DATABASE_URL", &database.url).args(["keys", "create", "--name", "test"]);
    for scope in scopes {
        command.args(["--scope", scope]);
    }
    let output = command.output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

/// A database, a CXone, one service, and a key for callbacks and the audit log.
pub struct World {
    pub database: Database,
    pub cxone: Cxone,
    pub service: Service,
    pub key: String,
    pub http: Client,
}

impl World {
    pub async fn start() -> Self {
        Self::with(&[]).await
    }

    /// With these settings of the service.
    pub async fn with(settings: &[(&str, &str)]) -> Self {
        let (database, cxone) = (Database::create().await, Cxone::start().await);
        let service = Service::start(&database, &cxone, settings).await;
        let key = create_key(&database, &["callbacks:write", "callbacks:read", "audit:read"]).await;
        Self { database, cxone, service, key, http: ringback::tls::client() }
    }

    pub async fn end(self) {
        self.service.kill().await;
        self.database.drop().await;
    }

    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.service.base_url)).bearer_auth(&self.key)
    }

    pub async fn get(&self, path: &str) -> Value {
        let answer = self.request(Method::GET, path).send().await.unwrap();
        assert_eq!(answer.status(), 200, "GET {path}");
        answer.json().await.unwrap()
    }

    pub async fn post(&self, path: &str, body: &Value) -> Response {
        self.request(Method::POST, path).json(body).send().await.unwrap()
    }

    /// Posts a callback and waits for it as the service does by default.
    pub async fn ask(&self, payload: &Value) -> (u16, Value) {
        self.ask_with(payload, &[]).await
    }

    /// Posts a callback with further headers.
    pub async fn ask_with(&self, payload: &Value, headers: &[(&str, &str)]) -> (u16, Value) {
        let request = self.request(Method::POST, "/v1/callbacks").json(payload);
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    /// The callback once it is as `wanted` says.
    pub async fn callback_when(&self, id: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        eventually(&format!("callback {id}"), async || {
            let callback = self.get(&format!("/v1/callbacks/{id}")).await;
            if wanted(&callback) { Ok(callback) } else { Err(callback.to_string()) }
        })
        .await
    }

    /// The callback once it has nothing left to do.
    pub async fn settled(&self, id: &str) -> Value {
        self.callback_when(id, |callback| callback["nextAttemptAt"].is_null()).await
    }

    /// The actions that the audit log has for a callback, in order.
    pub async fn audited(&self, id: &str) -> Vec<String> {
        let log = self.get(&format!("/v1/audit?callbackId={id}")).await;
        let entries = log["data"].as_array().unwrap().iter().rev();
        entries.map(|entry| entry["action"].as_str().unwrap().to_owned()).collect()
    }
}

/// Looks until what is awaited is there; fails with the last look where it never comes.
pub async fn eventually<T, F: Future<Output = Result<T, String>>>(what: &str, look: impl Fn() -> F) -> T {
    eventually_within(PATIENCE, what, look).await
}

/// The same, for what takes its time.
pub async fn eventually_within<T, F: Future<Output = Result<T, String>>>(
    patience: Duration,
    what: &str,
    look: impl Fn() -> F,
) -> T {
    let deadline = Instant::now() + patience;
    loop {
        match look().await {
            Ok(found) => return found,
            Err(seen) => assert!(Instant::now() < deadline, "{what} never came about; last seen: {seen}"),
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// So many minutes from now, to the second, as an IVR writes it.
pub fn minutes_from_now(minutes: i64) -> String {
    let seconds = jiff::Timestamp::now().as_second() + minutes * 60;
    jiff::Timestamp::from_second(seconds).unwrap().to_string()
}

/// The project's first payload: a window from one to two hours from now.
pub fn payload() -> Value {
    json!({
        "phoneNumber": CALLER, "requestedStart": minutes_from_now(60), "requestedEnd": minutes_from_now(120),
        "campaignId": CAMPAIGN, "language": "en-US",
    })
}

/// The same payload, with some members replaced; null leaves one out.
pub fn payload_with(members: Value) -> Value {
    let mut payload = payload();
    for (name, value) in members.as_object().unwrap() {
        payload[name] = value.clone();
    }
    payload
}

/// `pointer code` of each fault in a problem, in order.
pub fn faults(problem: &Value) -> Vec<String> {
    let errors = problem["errors"].as_array().cloned().unwrap_or_default();
    let text = |fault: &Value, name: &str| fault[name].as_str().unwrap().to_owned();
    errors.iter().map(|fault| format!("{} {}", text(fault, "pointer"), text(fault, "code"))).collect()
}
