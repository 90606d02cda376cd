//! `ringback demo`: shows the service with sample traffic, on one machine.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use anyhow::Context as _;
use axum::http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use reqwest::{Client, Response};
use secrecy::SecretString;
use serde_json::{Value, json};
use sqlx::postgres::PgConnectOptions;
use strum::VariantArray as _;
use tokio::net::TcpListener;
use tokio::sync::mpsc::{self, UnboundedReceiver};
use tokio_util::sync::CancellationToken;

use super::keys;
use crate::audit::Actor;
use crate::callbacks::{AttemptSettings, WithoutForecast};
use crate::clock::Clock;
use crate::config::{DatabaseArgs, Given, ServiceSettings, SettingErrors, address};
use crate::cxone::{self, AuthStyle};
use crate::db::SharedTime;
use crate::http::Scope;
use crate::keys::KeyStore;
use crate::simulator::{self, Campaign};
use crate::telemetry::{self, LogFormat};
use crate::types::{PhoneNumber, Region, TimeZone};
use crate::webhooks::{AddressPolicy, SecretCipher, SigningSecret, WebhookSettings};
use crate::{app, db, shutdown};

const CAMPAIGN: &str = "a1b2c3d4-e5f6-7890-g1h2-i3j4k5l6m7n8";
/// Campaigns that are paused and resumed have UUIDs.
const DIALED_CAMPAIGN: &str = "0192f0c4-1111-7000-8000-000000000001";
/// How long the campaign is paused.
const HOLD: Duration = Duration::from_secs(3);
/// A realistic latency of CXone, so that the steps can be seen.
const CXONE_LATENCY: Duration = Duration::from_millis(150);
/// How often the progress of a callback is read.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Nothing in the demo takes this long unless something is broken.
const GIVE_UP_AFTER: Duration = Duration::from_secs(20);

const CONNECTIONS: u32 = 24;

const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();
const GREEN: Style = AnsiColor::Green.on_default().bold();
const RED: Style = AnsiColor::Red.on_default();

/// Starts the CXone simulator and the service, seeds a campaign, sends callbacks like those of an IVR and shows their
/// way to `confirmed`; then stays up.
#[derive(clap::Args)]
pub struct Demo {
    #[command(flatten)]
    database: DatabaseArgs,
    /// Address to serve on; another free port of it is taken where the port is in use
    #[arg(long, env, default_value = "127.0.0.1:8080", value_parser = address())]
    listen_addr: Given<SocketAddr>,
}

/// What an IVR in the demo sends, and what people see of it.
struct Sample {
    phone_number: &'static str,
    language: &'static str,
    timezone: &'static str,
    caller: &'static str,
}

const SAMPLES: [Sample; 4] = [
    Sample { phone_number: "+12025550198", language: "en-US", timezone: "America/New_York", caller: "Washington" },
    Sample {
        phone_number: "(213) 555-0147",
        language: "es-US",
        timezone: "America/Los_Angeles",
        caller: "Los Ángeles",
    },
    Sample { phone_number: "1-514-555-0162", language: "fr-CA", timezone: "America/Toronto", caller: "Montréal" },
    Sample { phone_number: "+44 20 7946 0958", language: "en-GB", timezone: "Europe/London", caller: "London" },
];

impl Demo {
    /// Runs until Ctrl-C.
    pub async fn run(self) -> anyhow::Result<()> {
        let mut errors = SettingErrors::default();
        let given = self.database.read(&mut errors).zip(errors.take(self.listen_addr));
        let (options, listen_addr) = errors.finish(given)?;
        // The demo's own lines say what happens; the logs only what goes wrong.
        telemetry::start_logging(LogFormat::Pretty, "error");
        let stop = shutdown::on_signal()?;
        let db = db::connect(&options, CONNECTIONS).await.context("cannot connect to Postgres")?;
        db::migrate(&options).await.context("cannot update the schema")?;

        let simulator = start_simulator(stop.clone()).await?;
        let (receiver, webhooks) = start_receiver(stop.clone()).await?;
        let time = SharedTime::follow(&db, Clock::system()).await.context("Postgres does not say what time it is")?;
        let clock = time.clock();
        let settings = settings(options, simulator, receiver)?;
        app::configure(&db, &settings, &clock).await.context("the webhook could not be kept")?;
        let service = app::build(&settings, &db, time, stop.clone())?;
        let listener = listen(listen_addr).await?;
        let address = listener.local_addr()?;
        let service = tokio::spawn(service.run(listener));

        let store = KeyStore::new(db.clone());
        let key =
            keys::create(&store, &clock, Actor::system("demo"), "demo".into(), Scope::VARIANTS.to_vec(), None).await?;
        let (base_url, key) = (format!("http://{address}"), key.reveal().to_owned());
        let mut ivr = Ivr { http: crate::tls::client_builder().build()?, base_url, key, webhooks };

        anstream::println!(
            "\n{BOLD}Ringback{BOLD:#}  callbacks scheduled and confirmed; a campaign paused and resumed on schedule\n"
        );
        let shown = stop.run_until_cancelled(ivr.show(&clock)).await;
        if let Some(shown) = shown {
            shown?;
            ivr.invite(simulator, &clock);
        }
        stop.cancelled().await;
        anstream::println!("\n{DIM}stopping …{DIM:#}");
        service.await.context("the service panicked")?;
        db.close().await;
        Ok(())
    }
}

async fn start_simulator(stop: CancellationToken) -> anyhow::Result<SocketAddr> {
    let settings = simulator::Settings { latency: CXONE_LATENCY, ..simulator::Settings::default() };
    let simulator = simulator::Simulator::new(settings);
    simulator.add_campaign(CAMPAIGN, Campaign::default());
    simulator.add_campaign(DIALED_CAMPAIGN, Campaign::default());
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    tokio::spawn(simulator::serve(listener, simulator, stop.cancelled_owned()));
    Ok(address)
}

/// A WFO system's receiver, which accepts every webhook and passes it to the demo.
async fn start_receiver(stop: CancellationToken) -> anyhow::Result<(SocketAddr, UnboundedReceiver<Value>)> {
    let (sender, webhooks) = mpsc::unbounded_channel();
    let take = move |axum::Json(event): axum::Json<Value>| {
        // The receiver is closed when everything was shown.
        let _ = sender.send(event);
        std::future::ready(StatusCode::NO_CONTENT)
    };
    let router = axum::Router::new().route("/hooks", axum::routing::post(take));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    tokio::spawn(axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned()).into_future());
    Ok((address, webhooks))
}

fn settings(options: PgConnectOptions, simulator: SocketAddr, receiver: SocketAddr) -> anyhow::Result<ServiceSettings> {
    let known = simulator::Settings::default();
    let region = Region::parse("US")?;
    let mut encryption_key = [0; 32];
    getrandom::fill(&mut encryption_key).context("the system has no random numbers")?;
    Ok(ServiceSettings {
        direct_database: options.clone(),
        database: options,
        max_connections: CONNECTIONS,
        listen_addr: simulator,
        cxone: cxone::Settings {
            base_url: format!("http://{simulator}"),
            client_id: known.client_id,
            client_secret: SecretString::from(known.client_secret),
            auth: AuthStyle::Basic,
            timeout: Duration::from_secs(10),
            requests_per_minute: 100,
        },
        outbound_proxy: None,
        attempts: AttemptSettings {
            without_forecast: WithoutForecast::Reject,
            sms_from: PhoneNumber::parse("+18005551234", &region)?,
            default_zone: TimeZone::parse("UTC")?,
        },
        region,
        default_wait: Duration::from_secs(3),
        campaign_check: Duration::from_secs(45),
        clock_offset: SignedDuration::ZERO,
        webhooks: WebhookSettings {
            address_policy: AddressPolicy { allow_loopback: true },
            cipher: SecretCipher::new(&encryption_key),
            configured: Some((format!("http://{receiver}/hooks"), SigningSecret::new()?)),
            proxy: None,
        },
        log_format: LogFormat::Pretty,
    })
}

/// On the port that was asked for, or on any free one where that is taken.
async fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    match TcpListener::bind(address).await {
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
            anstream::println!("{DIM}{address} is in use; taking another port{DIM:#}");
            Ok(TcpListener::bind((address.ip(), 0)).await?)
        }
        bound => bound.with_context(|| format!("cannot listen on {address} (LISTEN_ADDR)")),
    }
}

/// The IVR of the demo.
struct Ivr {
    http: Client,
    base_url: String,
    key: String,
    /// What arrived at the demo's receiver.
    webhooks: UnboundedReceiver<Value>,
}

impl Ivr {
    async fn show(&mut self, clock: &Clock) -> anyhow::Result<()> {
        for sample in &SAMPLES {
            let posted_at = std::time::Instant::now();
            anstream::println!("{BOLD}POST{BOLD:#} /v1/callbacks   {}, {}", sample.phone_number, sample.caller);
            let answer = self.post(&sample.payload(clock.now()), "respond-async").await?;
            let status = answer.status();
            let body: Value = answer.json().await?;
            if status == StatusCode::CONFLICT {
                anstream::println!("  {DIM}409  this number still has an open callback from an earlier demo{DIM:#}\n");
                continue;
            }
            let id = body["id"].as_str().with_context(|| format!("answered {status}: {body}"))?.to_owned();
            tokio::time::timeout(GIVE_UP_AFTER, self.follow(&id, posted_at))
                .await
                .with_context(|| format!("callback {id} was not confirmed within {GIVE_UP_AFTER:?}"))??;
        }
        self.show_bad_input(clock).await?;
        let campaign = self.show_campaign(clock);
        tokio::time::timeout(GIVE_UP_AFTER, campaign).await.context("the campaign was not resumed")?
    }

    /// Pauses the dialed campaign for a moment, and shows that it is resumed on schedule.
    async fn show_campaign(&mut self, clock: &Clock) -> anyhow::Result<()> {
        let path = format!("/v1/campaigns/{DIALED_CAMPAIGN}");
        // Holds that an earlier demo left in this database.
        let resume = self.http.post(format!("{}{path}/resume", self.base_url)).bearer_auth(&self.key);
        resume.json(&json!({ "force": true })).send().await?.error_for_status()?;
        let started_at = clock.now();
        anstream::println!("{BOLD}POST{BOLD:#} {path}/pause   for {} seconds", HOLD.as_secs());
        let pause = json!({
            "pauseReason": "CARRIER_THROTTLE", "scheduledResumeTime": started_at + HOLD, "maxAgents": 25,
            "regulatoryWindow": all_day(started_at), "carrierLimit": { "maxConcurrentCalls": 100, "maxAgents": 30 },
        });
        let request = self.http.post(format!("{}{path}/pause", self.base_url)).bearer_auth(&self.key);
        request.json(&pause).send().await?.error_for_status()?;
        let (mut seen, mut delivered) = (0, 0);
        loop {
            let query = format!("/v1/audit?campaignId={DIALED_CAMPAIGN}&from={started_at}");
            let log: Value = self.get(&query).await?.json().await?;
            let entries: Vec<&Value> = log["data"].as_array().into_iter().flatten().rev().collect();
            for entry in entries.iter().skip(seen) {
                let elapsed = (clock.now() - started_at).total(jiff::Unit::Millisecond)?;
                let (name, style, text) = campaign_step(entry);
                anstream::println!("  {style}{name:<10}{style:#} {DIM}{elapsed:>5.0} ms{DIM:#}  {text}");
            }
            seen = entries.len();
            while let Ok(event) = self.webhooks.try_recv() {
                let at = event["timestamp"].as_str().and_then(|at| at.parse::<Timestamp>().ok());
                if event["campaignId"] == DIALED_CAMPAIGN && at.is_some_and(|at| at >= started_at) {
                    let elapsed = (clock.now() - started_at).total(jiff::Unit::Millisecond)?;
                    let kind = event["type"].as_str().unwrap_or("");
                    anstream::println!(
                        "  {BOLD}webhook   {BOLD:#} {DIM}{elapsed:>5.0} ms{DIM:#}  {kind}, signed, taken"
                    );
                    delivered += 1;
                }
            }
            if delivered == 2 {
                anstream::println!();
                return Ok(());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Prints the audit entries of a callback, until it has reached its final state.
    async fn follow(&self, id: &str, posted_at: std::time::Instant) -> anyhow::Result<()> {
        let mut seen = 0;
        loop {
            let log: Value = self.get(&format!("/v1/audit?callbackId={id}")).await?.json().await?;
            let entries: Vec<&Value> = log["data"].as_array().into_iter().flatten().rev().collect();
            for entry in entries.iter().skip(seen) {
                let elapsed = posted_at.elapsed().as_millis();
                let (name, style, text) = step(entry);
                anstream::println!("  {style}{name:<10}{style:#} {DIM}{elapsed:>5} ms{DIM:#}  {text}");
            }
            seen = entries.len();
            let callback: Value = self.get(&format!("/v1/callbacks/{id}")).await?.json().await?;
            if callback["nextAttemptAt"].is_null() && callback["updatedAt"] == newest(&log) {
                anstream::println!();
                return Ok(());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    async fn show_bad_input(&self, clock: &Clock) -> anyhow::Result<()> {
        let now = clock.now();
        anstream::println!("{BOLD}POST{BOLD:#} /v1/callbacks   a bad one: every fault at once");
        let payload = json!({
            "phoneNumber": "12", "requestedStart": now, "requestedEnd": now + SignedDuration::from_mins(59),
            "campaignId": "", "language": "klingon",
        });
        let answer = self.post(&payload, "respond-async").await?;
        let status = answer.status().as_u16();
        let problem: Value = answer.json().await?;
        for fault in problem["errors"].as_array().into_iter().flatten() {
            let (pointer, detail) = (fault["pointer"].as_str(), fault["detail"].as_str());
            anstream::println!("  {RED}{status}{RED:#}  {:<14} {}", pointer.unwrap_or(""), detail.unwrap_or(""));
        }
        anstream::println!();
        Ok(())
    }

    fn invite(&self, simulator: SocketAddr, clock: &Clock) {
        let (base, key) = (&self.base_url, &self.key);
        let now = clock.now();
        let (start, end) = (whole_minute(now, 60), whole_minute(now, 120));
        anstream::println!("{GREEN}Everything runs.{GREEN:#} Ctrl-C stops all of it.\n");
        anstream::println!("  the API          {base}/docs");
        anstream::println!("  metrics          {base}/metrics");
        anstream::println!("  CXone simulator  http://{simulator}/_control/contacts, …/messages");
        anstream::println!("  an API key       {key}\n");
        anstream::println!("{DIM}For the commands of README and docs/:{DIM:#}\n");
        anstream::println!("export KEY={key}\n");
        anstream::println!("{DIM}Ask for a callback:{DIM:#}\n");
        anstream::println!(
            "curl -s {base}/v1/callbacks -H 'Authorization: Bearer {key}' -H 'Content-Type: application/json' -d '{{\"phoneNumber\": \"2025550123\", \"requestedStart\": \"{start}\", \"requestedEnd\": \"{end}\", \"campaignId\": \"{CAMPAIGN}\", \"language\": \"en-US\", \"timezone\": \"America/New_York\"}}'\n"
        );
        anstream::println!("{DIM}Pause a campaign:{DIM:#}\n");
        anstream::println!(
            "curl -s {base}/v1/campaigns/{DIALED_CAMPAIGN}/pause -H 'Authorization: Bearer {key}' -H 'Content-Type: application/json' -d '{{\"pauseReason\": \"AGENT_CAPACITY\", \"maxAgents\": 25, \"regulatoryWindow\": {}, \"carrierLimit\": {{\"maxConcurrentCalls\": 100, \"maxAgents\": 30}}}}'\n",
            all_day(now)
        );
        anstream::println!("{DIM}Follow all of it, from the POST to the SMS:{DIM:#}\n");
        anstream::println!("curl -s {base}/v1/audit -H 'Authorization: Bearer {key}'\n");
    }

    async fn post(&self, payload: &Value, prefer: &str) -> reqwest::Result<Response> {
        let request = self.http.post(format!("{}/v1/callbacks", self.base_url)).bearer_auth(&self.key);
        request.header("prefer", prefer).json(payload).send().await
    }

    async fn get(&self, path: &str) -> reqwest::Result<Response> {
        self.http.get(format!("{}{path}", self.base_url)).bearer_auth(&self.key).send().await?.error_for_status()
    }
}

impl Sample {
    /// A window from one to two hours from now.
    fn payload(&self, now: Timestamp) -> Value {
        json!({
            "phoneNumber": self.phone_number, "requestedStart": whole_minute(now, 60),
            "requestedEnd": whole_minute(now, 120), "campaignId": CAMPAIGN, "language": self.language,
            "timezone": self.timezone,
        })
    }
}

/// `minutes` from now, cut to the minute as people would say it.
fn whole_minute(now: Timestamp, minutes: i64) -> Timestamp {
    let at = now.as_second() + minutes * 60;
    Timestamp::from_second(at - at.rem_euclid(60)).unwrap_or(now)
}

/// A window that was open for an hour, and stays so until an hour before it would close tomorrow.
fn all_day(now: Timestamp) -> Value {
    let time = |hours: i64| (now + SignedDuration::from_hours(hours)).strftime("%H:%M").to_string();
    json!({ "startTime": time(-1), "endTime": time(-2), "timezone": "UTC" })
}

/// A step of a campaign's, as [`step`] gives those of a callback.
fn campaign_step(entry: &Value) -> (String, Style, String) {
    let (domain, name) = entry["action"].as_str().unwrap_or("").split_once('.').unwrap_or_default();
    let (previous, new) = (entry["previousState"].as_str(), entry["newState"].as_str());
    let by = entry["actor"]["name"].as_str().unwrap_or("");
    match (domain, previous.zip(new)) {
        ("hold", _) => (name.to_owned(), BOLD, format!("the hold, by {by}")),
        (_, Some((previous, new))) => (name.to_owned(), GREEN, format!("CXone: {previous} → {new}, by {by}")),
        _ => (name.to_owned(), RED, entry["outcome"].as_str().unwrap_or("").to_owned()),
    }
}

fn newest(log: &Value) -> Value {
    log["data"][0]["timestamp"].clone()
}

/// A step's name, its colour, and what there is to say about it.
fn step(entry: &Value) -> (String, Style, String) {
    let action = entry["action"].as_str().unwrap_or("");
    let name = action.trim_start_matches("callback.").to_owned();
    let detail = |name: &str| entry["detail"][name].as_str().unwrap_or("").to_owned();
    match name.as_str() {
        "accepted" => (name, BOLD, format!("stored for {}", detail("phoneNumber"))),
        "scheduled" => {
            let no_sms = if detail("confirmationSkipped").is_empty() { "" } else { "; no SMS: a fixed line" };
            (name, BOLD, format!("CXone calls at {}{no_sms}", detail("dispatchTime")))
        }
        "confirmed" => (name, GREEN, format!("texted, session {}", detail("smsSessionId"))),
        _ => (name, RED, entry["detail"]["failure"]["detail"].as_str().unwrap_or("").to_owned()),
    }
}
