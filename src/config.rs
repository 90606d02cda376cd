//! All settings. Each is a flag or an environment variable, and is parsed once. All errors are reported together.

mod audit;
#[cfg(test)]
mod chart_test;
mod console;
mod cxone;
mod database;
mod errors;
#[cfg(test)]
mod fuzz_test;
mod given;
mod http_url;
mod listen;
mod nice;
mod oidc;
mod outbound_proxy;
mod polls;
mod secret;
#[cfg(test)]
mod tests;
mod webhooks;

use std::time::Duration;

use jiff::SignedDuration;
use reqwest::Url;
use secrecy::SecretString;
use sqlx::postgres::PgConnectOptions;

use self::database::ConnectionArgs;
pub use self::database::DatabaseArgs;
pub use self::errors::{BadSetting, SettingErrors};
pub use self::given::{Given, address, choice, keep, number, parsed, secret_text, text};

use self::audit::AuditArgs;
pub use self::audit::{AuditSettings, RetentionArgs};
use self::console::ConsoleArgs;
use self::cxone::CxoneArgs;
use self::given::optional_text;
pub use self::listen::{ListenArgs, ListenSettings};
use self::oidc::OidcArgs;
use self::outbound_proxy::OutboundProxyArgs;
use self::polls::PollArgs;
pub use self::secret::secret;
use self::webhooks::WebhookArgs;
use crate::callbacks::{AttemptSettings, OutcomeSettings, WithoutForecast};
use crate::console::ConsoleSettings;
use crate::cxone::Settings as CxoneSettings;
use crate::oidc::OidcSettings;
use crate::telemetry::LogFormat;
use crate::types::{PhoneNumber, Region, TimeZone, TrustedProxies};
use crate::webhooks::WebhookSettings;

/// A valid number.
const DEFAULT_SENDER: &str = "+18005551234";

/// The settings of the service, as given.
#[derive(Clone, Debug, clap::Args)]
#[expect(clippy::doc_markdown, reason = "clap prints these lines as they are")]
pub struct ServiceArgs {
    #[command(flatten)]
    database: DatabaseArgs,
    #[command(flatten)]
    connections: ConnectionArgs,
    #[command(flatten)]
    listen: ListenArgs,
    #[command(flatten)]
    oidc: OidcArgs,
    #[command(flatten)]
    console: ConsoleArgs,
    #[command(flatten)]
    cxone: CxoneArgs,
    /// Verified sender of SMS, E.164
    #[arg(long, env, default_value = DEFAULT_SENDER, value_parser = text(), value_name = "NUMBER")]
    sms_from: Given<String>,
    /// Channel of SMS, for CXONE_API=nice; without one, no SMS are sent
    #[arg(long, env, value_parser = text(), value_name = "ID")]
    sms_channel_id: Option<Given<String>>,
    #[command(flatten)]
    webhooks: WebhookArgs,
    #[command(flatten)]
    audit: AuditArgs,
    #[command(flatten)]
    outbound_proxy: OutboundProxyArgs,
    /// How long a POST of a callback waits for the outcome by default, in milliseconds
    #[arg(long, env, default_value = "3000", value_parser = number(0_u64..=30_000), value_name = "MS")]
    callback_wait_ms: Given<u64>,
    /// How often a held campaign is checked in CXone, where it may have been started, in milliseconds. Each check is one
    /// request of the quota
    #[arg(long, env, default_value = "45000", value_parser = number(100_u64..=3_600_000), value_name = "MS")]
    campaign_check_ms: Given<u64>,
    /// Days for which callbacks that have ended are kept
    #[arg(long, env, default_value = "400", value_parser = number(1_u32..=36_500), value_name = "DAYS")]
    callback_retention_days: Given<u32>,
    /// What to do with a callback if CXone has no forecast
    #[arg(long, env, default_value = "reject", value_parser = choice::<WithoutForecast>())]
    callback_without_forecast: Given<WithoutForecast>,
    #[command(flatten)]
    polls: PollArgs,
    /// Country of phone numbers in national format, ISO 3166
    #[arg(long, env, default_value = "US", value_parser = parsed(Region::parse), value_name = "COUNTRY")]
    default_region: Given<Region>,
    /// Time zone in SMS if neither the request nor the phone number has one, IANA
    #[arg(long, env, default_value = "UTC", value_parser = parsed(TimeZone::parse), value_name = "ZONE")]
    default_timezone: Given<TimeZone>,
    /// Shifts this machine's clock forward, in milliseconds; for tests
    #[arg(long, env, hide = true, default_value = "0", allow_negative_numbers = true,
        value_parser = number(-86_400_000_i64..=86_400_000), value_name = "MS")]
    clock_offset_ms: Given<i64>,
    /// OTLP endpoint that traces are sent to, such as http://collector:4318. The other OTEL_ variables work as usual
    #[arg(long, env, value_parser = text(), value_name = "URL")]
    otel_exporter_otlp_endpoint: Option<Given<String>>,
    /// Networks of proxies whose X-Forwarded-For or Forwarded is believed, separated by commas; for log lines
    #[arg(long, env, value_parser = parsed(TrustedProxies::parse), value_name = "CIDR,…")]
    trusted_proxies: Option<Given<TrustedProxies>>,
    /// Format of log lines; RUST_LOG filters them
    #[arg(long, env, default_value = "json", value_parser = choice::<LogFormat>())]
    log_format: Given<LogFormat>,
}

/// The settings of the service, parsed.
#[derive(Clone, Debug)]
pub struct ServiceSettings {
    /// How to connect to Postgres.
    pub database: PgConnectOptions,
    /// How to connect to Postgres without a pooler: for notifications, the audit log, migrations and maintenance.
    pub direct_database: PgConnectOptions,
    /// The size of the pool of connections to Postgres.
    pub max_connections: u32,
    /// What to listen on.
    pub listen: ListenSettings,
    /// The identity provider whose tokens are accepted, if there is one.
    pub oidc: Option<OidcSettings>,
    /// The console: where browsers reach it, and how people sign in.
    pub console: ConsoleSettings,
    /// The URL of CXone, and the OAuth client.
    pub cxone: CxoneSettings,
    /// The proxy for requests to CXone and to the identity provider. Webhooks have the same one in their settings.
    pub outbound_proxy: Option<SecretString>,
    /// Settings for attempts on callbacks.
    pub attempts: AttemptSettings,
    /// Country of phone numbers in national format.
    pub region: Region,
    /// How long a POST waits by default.
    pub default_wait: Duration,
    /// How often a held campaign is checked in CXone.
    pub campaign_check: Duration,
    /// For how many days callbacks that have ended are kept.
    pub callback_retention_days: u32,
    /// Settings for the outcomes of calls.
    pub outcomes: OutcomeSettings,
    /// How often answer rates are read from CXone, where campaigns ask for it.
    pub answer_rate_poll: Duration,
    /// How far the machine's clock is shifted forward.
    pub clock_offset: SignedDuration,
    /// Settings for webhooks.
    pub webhooks: WebhookSettings,
    /// Settings for the audit log.
    pub audit: AuditSettings,
    /// Where traces are sent to, without a slash at the end.
    pub traces: Option<String>,
    /// The proxies whose word about the client's address is believed.
    pub trusted_proxies: TrustedProxies,
    /// Format of log lines.
    pub log_format: LogFormat,
}

impl ServiceArgs {
    /// Parses the settings.
    ///
    /// # Errors
    /// Every setting that is missing or invalid.
    pub fn settings(self) -> Result<ServiceSettings, SettingErrors> {
        let mut errors = SettingErrors::default();
        let settings = self.read(&mut errors);
        errors.finish(settings)
    }

    /// Everything is read before the first `?`, so that every error is found.
    fn read(self, errors: &mut SettingErrors) -> Option<ServiceSettings> {
        let database = self.database.read_both(errors);
        let connections = self.connections.read(errors);
        let listen = self.listen.read(errors);
        let oidc = self.oidc.read(errors);
        let has_issuer = oidc.as_ref().is_none_or(Option::is_some);
        let console = self.console.read(has_issuer, errors);
        let cxone = self.cxone.read(errors);
        let region = errors.take(self.default_region);
        let sms_from = errors.take(self.sms_from.and_then(|text| sender(&text, region)));
        let sms_channel = errors.take(optional_text(self.sms_channel_id));
        let outbound_proxy = self.outbound_proxy.read(errors);
        let webhooks = self.webhooks.read(outbound_proxy.clone().flatten(), errors);
        let audit = self.audit.read(errors);
        let default_wait = errors.take(self.callback_wait_ms).map(Duration::from_millis);
        let campaign_check = errors.take(self.campaign_check_ms).map(Duration::from_millis);
        let callback_retention_days = errors.take(self.callback_retention_days);
        let without_forecast = errors.take(self.callback_without_forecast);
        let default_zone = errors.take(self.default_timezone);
        let clock_offset = errors.take(self.clock_offset_ms).map(SignedDuration::from_millis);
        let polls = self.polls.read(errors);
        let traces = errors.take(optional_text(self.otel_exporter_otlp_endpoint).and_then(traces));
        let trusted_proxies = errors.take(self.trusted_proxies.unwrap_or_else(|| Ok(TrustedProxies::default())));
        let log_format = errors.take(self.log_format);
        let (database, max_connections) = database.zip(connections)?;
        let (outcomes, answer_rate_poll) = polls?;
        Some(ServiceSettings {
            direct_database: database.direct,
            database: database.pooled,
            max_connections,
            listen: listen?,
            oidc: oidc?,
            console: console?,
            cxone: cxone?,
            outbound_proxy: outbound_proxy?,
            attempts: AttemptSettings {
                without_forecast: without_forecast?,
                sms_from: sms_from?,
                sms_channel: sms_channel?,
                default_zone: default_zone?,
            },
            region: region?,
            default_wait: default_wait?,
            campaign_check: campaign_check?,
            callback_retention_days: callback_retention_days?,
            outcomes,
            answer_rate_poll,
            clock_offset: clock_offset?,
            webhooks: webhooks?,
            audit: audit?,
            traces: traces?,
            trusted_proxies: trusted_proxies?,
            log_format: log_format?,
        })
    }
}

fn traces(url: Option<String>) -> Given<Option<String>> {
    let is_usable = |url: &String| {
        Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.query().is_none())
    };
    let fault = "must be an http or https URL, such as http://collector:4318";
    match url {
        Some(url) if !is_usable(&url) => Err(BadSetting::new("OTEL_EXPORTER_OTLP_ENDPOINT", fault)),
        url => Ok(url.map(|url| url.trim_end_matches('/').to_owned())),
    }
}

/// A number in E.164 can be checked even if the region is invalid.
fn sender(text: &str, region: Option<Region>) -> Given<PhoneNumber> {
    let number = match region {
        // Without the metadata of phone numbers, which need memory.
        Some(_) if text == DEFAULT_SENDER => PhoneNumber::from_stored(text.to_owned()),
        Some(region) => PhoneNumber::parse(text, &region),
        None => Region::parse("US").and_then(|region| PhoneNumber::parse(text, &region)),
    };
    number.map_err(|fault| BadSetting::new("SMS_FROM", fault.detail))
}
