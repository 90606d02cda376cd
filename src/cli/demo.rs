//! `ringback demo`: shows the service with sample traffic, on one machine.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use anyhow::Context as _;
use axum::http::StatusCode;
use jiff::SignedDuration;
use serde_json::Value;
use sqlx::postgres::PgConnectOptions;
use strum::VariantArray as _;
use tokio::net::TcpListener;
use tokio::sync::mpsc::{self, UnboundedReceiver};
use tokio_util::sync::CancellationToken;

mod api;
mod calls;
mod console;
mod sequence;
mod steps;

use self::api::Api;
use self::sequence::Ivr;
use super::keys;
use crate::audit::{Actor, LogKeys};
use crate::callbacks::{AttemptSettings, OutcomeSettings, ReachedDispositions, WithoutForecast};
use crate::clock::Clock;
use crate::config::{
    AuditSettings, DatabaseArgs, Given, ListenSettings, ServiceSettings, SettingErrors, address, choice,
};
use crate::console::{ConsoleSettings, ConsoleStore, Sessions};
use crate::db::SharedTime;
use crate::http::Scope;
use crate::keys::{Author, Grant, KeyStore};
use crate::simulator::{self, Campaign};
use crate::telemetry::{self, LogFormat};
use crate::types::{AllowedCampaigns, PhoneNumber, Region, TimeZone, TrustedProxies};
use crate::webhooks::{AddressPolicy, SecretCipher, SigningSecret, WebhookSettings};
use crate::{app, db, shutdown};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

const CAMPAIGN: &str = "a1b2c3d4-e5f6-7890-g1h2-i3j4k5l6m7n8";
/// Campaigns that are paused and resumed have UUIDs.
const DIALED_CAMPAIGN: &str = "0192f0c4-1111-7000-8000-000000000001";
/// A campaign that stays paused.
const HELD_CAMPAIGN: &str = "0192f0c4-1111-7000-8000-000000000002";
/// A campaign with a low answer rate.
const LOW_CAMPAIGN: &str = "0192f0c4-1111-7000-8000-000000000003";
/// A realistic latency of CXone, so that the steps can be seen.
const CXONE_LATENCY: Duration = Duration::from_millis(150);
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
    /// Which of CXone's APIs it shows. With nice, also a callback that is called and reached
    #[arg(long, default_value = "v2", value_parser = choice::<Api>())]
    api: Given<Api>,
}

impl Demo {
    /// Runs until Ctrl-C.
    pub async fn run(self) -> anyhow::Result<()> {
        let mut errors = SettingErrors::default();
        let given = self.database.read(&mut errors).zip(errors.take(self.listen_addr));
        let given = given.zip(errors.take(self.api));
        let ((options, listen_addr), api) = errors.finish(given)?;
        // The demo's own lines say what happens; the logs only what goes wrong.
        let _logging = telemetry::start_logging(LogFormat::Pretty, "error");
        let stop = shutdown::on_signal()?;
        db::migrate(&options).await.context("cannot update the schema")?;
        let db = db::connect(&options, CONNECTIONS).await.context("cannot connect to Postgres")?;

        progress("Postgres", "the schema is up to date");
        let simulator = start_simulator(api, stop.clone()).await?;
        progress("CXone simulator", &format!("http://{simulator}"));
        let (receiver, webhooks) = start_receiver(stop.clone()).await?;
        let time = SharedTime::follow(&db, Clock::system()).await.context("Postgres does not say what time it is")?;
        let clock = time.clock();
        let settings = settings(options, api, simulator, receiver)?;
        app::configure(&db, &settings, &clock).await.context("the webhook could not be kept")?;
        let service = app::build(&settings, &db, time, stop.clone())?;
        let listener = listen(listen_addr).await?;
        let address = listener.local_addr()?;
        let listeners = app::Listeners { public: listener, tls: None, metrics: None };
        let service = tokio::spawn(service.run(listeners));
        progress("Ringback", &format!("http://{address}"));

        let store = KeyStore::new(db.clone());
        let grant = Grant::new(Scope::VARIANTS.to_vec(), AllowedCampaigns::all(), None, None);
        let author = Author { clock: &clock, actor: Actor::system("demo"), request_id: None };
        let key = keys::create(&store, &author, "demo".into(), grant).await?;
        let record = store.find(key.reveal()).await?.context("the key is not there")?;
        let sessions = Sessions::new(ConsoleStore::new(db.clone()), store, clock.clone());
        let (base_url, key) = (format!("http://{address}"), key.reveal().to_owned());
        let mut ivr = Ivr { http: crate::tls::client_builder().build()?, simulator, base_url, key, webhooks };

        anstream::println!(
            "\n{BOLD}Ringback{BOLD:#}  callbacks scheduled and confirmed; a campaign paused and resumed on schedule\n"
        );
        let shown = stop.run_until_cancelled(ivr.show(api, &clock)).await;
        if let Some(shown) = shown {
            shown?;
            let link = sessions.create_link(record.id, Actor::system("demo")).await?;
            ivr.show_commands(&link, &clock);
        }
        stop.cancelled().await;
        anstream::println!("\n{DIM}stopping …{DIM:#}");
        service.await.context("the service panicked")?;
        db.close().await;
        Ok(())
    }
}

/// A line about a part that has started.
fn progress(part: &str, text: &str) {
    anstream::println!("{GREEN}started{GREEN:#}  {part:<16} {DIM}{text}{DIM:#}");
}

async fn start_simulator(api: Api, stop: CancellationToken) -> anyhow::Result<SocketAddr> {
    let settings =
        simulator::Settings { api: api.simulated(), latency: CXONE_LATENCY, ..simulator::Settings::default() };
    let simulator = simulator::Simulator::new(settings);
    simulator.add_campaign(CAMPAIGN, Campaign::default());
    for campaign in [DIALED_CAMPAIGN, HELD_CAMPAIGN, LOW_CAMPAIGN] {
        simulator.add_campaign(campaign, Campaign::default());
    }
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

fn settings(
    options: PgConnectOptions,
    api: Api,
    simulator: SocketAddr,
    receiver: SocketAddr,
) -> anyhow::Result<ServiceSettings> {
    let region = Region::parse("US")?;
    let (mut encryption_key, mut signing_key) = ([0; 32], [0; 32]);
    for key in [&mut encryption_key, &mut signing_key] {
        getrandom::fill(key).context("the system has no random numbers")?;
    }
    Ok(ServiceSettings {
        direct_database: options.clone(),
        database: options,
        max_connections: CONNECTIONS,
        oidc: None,
        console: ConsoleSettings::default(),
        listen: ListenSettings { address: simulator, metrics: None, tls: None },
        cxone: api.settings(simulator),
        outbound_proxy: None,
        attempts: AttemptSettings {
            without_forecast: WithoutForecast::Reject,
            sms_from: PhoneNumber::parse("+18005551234", &region)?,
            sms_channel: api.sms_channel(),
            default_zone: TimeZone::parse("UTC")?,
        },
        region,
        default_wait: Duration::from_secs(3),
        campaign_check: Duration::from_secs(45),
        callback_retention_days: 400,
        outcomes: OutcomeSettings { poll_every: api.outcome_poll(), reached: ReachedDispositions::default() },
        answer_rate_poll: Duration::from_mins(1),
        clock_offset: SignedDuration::ZERO,
        webhooks: WebhookSettings {
            address_policy: AddressPolicy { allow_loopback: true },
            cipher: SecretCipher::new(&encryption_key),
            configured: Some((format!("http://{receiver}/hooks"), SigningSecret::new()?)),
            proxy: None,
        },
        audit: AuditSettings {
            keys: LogKeys::parse("ringback.invalid/demo", &STANDARD.encode(signing_key)).ok(),
            ..AuditSettings::default()
        },
        traces: None,
        trusted_proxies: TrustedProxies::default(),
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
