//! All settings. Each is a flag or an environment variable, and is parsed once.

use std::fmt;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use jiff::SignedDuration;
use reqwest::Url;
use secrecy::{ExposeSecret as _, SecretString};
use sqlx::postgres::PgConnectOptions;

use crate::callbacks::{AttemptSettings, WithoutForecast};
use crate::cxone::{self, AuthStyle};
use crate::telemetry::LogFormat;
use crate::types::{PhoneNumber, Region, TimeZone};
use crate::webhooks::{AddressPolicy, SecretCipher, SigningSecret, WebhookSettings};

/// A missing or invalid setting, as one line that names it.
#[derive(Debug, thiserror::Error)]
#[error("{name} {fault}")]
pub struct BadSetting {
    name: String,
    fault: String,
}

impl BadSetting {
    fn new(name: &str, fault: impl fmt::Display) -> Self {
        Self { name: name.into(), fault: fault.to_string() }
    }

    fn missing(name: &str) -> Self {
        Self::new(name, "is required and not set")
    }

    /// From an error of the command line parser. Does not contain the value, which may be a secret.
    pub fn from_clap(error: &clap::Error) -> Option<Self> {
        let Some(ContextValue::String(argument)) = error.get(ContextKind::InvalidArg) else { return None };
        let flag = argument.split([' ', '=']).next().unwrap_or(argument).trim_start_matches('-');
        let name = format!("{} (--{flag})", flag.to_uppercase().replace('-', "_"));
        match (error.kind(), error.get(ContextKind::ValidValue)) {
            (ErrorKind::InvalidValue, Some(ContextValue::Strings(known))) => {
                Some(Self::new(&name, format!("must be one of {}", known.join(", "))))
            }
            (ErrorKind::ValueValidation, _) => {
                let cause = std::error::Error::source(error).map_or("is invalid".to_owned(), ToString::to_string);
                Some(Self::new(&name, cause))
            }
            _ => None,
        }
    }
}

/// The settings for Postgres.
#[derive(Clone, Debug, clap::Args)]
#[expect(clippy::doc_markdown, reason = "clap prints these lines as they are")]
pub struct DatabaseArgs {
    /// Postgres, as `postgres://user:password@host/database`
    #[arg(long, env, hide_env_values = true, value_name = "URL")]
    database_url: Option<SecretString>,
    /// A file that contains DATABASE_URL
    #[arg(long, env, value_name = "FILE")]
    database_url_file: Option<PathBuf>,
}

impl DatabaseArgs {
    /// The connection options.
    ///
    /// # Errors
    /// If the URL is missing or is not a Postgres URL.
    pub fn options(&self) -> Result<PgConnectOptions, BadSetting> {
        let url = secret("DATABASE_URL", self.database_url.as_ref(), self.database_url_file.as_deref())?
            .ok_or_else(|| BadSetting::missing("DATABASE_URL"))?;
        let is_postgres = ["postgres://", "postgresql://"].iter().any(|scheme| url.expose_secret().starts_with(scheme));
        let options = url.expose_secret().parse().ok().filter(|_| is_postgres);
        options.ok_or_else(|| BadSetting::new("DATABASE_URL", "must be a postgres:// URL"))
    }
}

/// The settings of the service, as given.
#[derive(Clone, Debug, clap::Args)]
#[expect(clippy::doc_markdown, reason = "clap prints these lines as they are")]
pub struct ServiceArgs {
    #[command(flatten)]
    pub database: DatabaseArgs,
    /// Address to serve on
    #[arg(long, env, default_value = "127.0.0.1:8080", value_parser = parse_address)]
    listen_addr: SocketAddr,
    /// CXone's OAuth client
    #[arg(long, env, value_name = "ID")]
    cxone_client_id: Option<String>,
    /// The OAuth client's secret
    #[arg(long, env, hide_env_values = true, value_name = "SECRET")]
    cxone_client_secret: Option<SecretString>,
    /// A file that contains CXONE_CLIENT_SECRET
    #[arg(long, env, value_name = "FILE")]
    cxone_client_secret_file: Option<PathBuf>,
    /// URL of CXone: scheme and host. Plain http only for loopback addresses, or with CXONE_ALLOW_HTTP
    #[arg(long, env, value_name = "URL")]
    cxone_base_url: Option<String>,
    /// Region of CXone (`us`), or its host (a name with a dot), in place of CXONE_BASE_URL
    #[arg(long, env, value_name = "REGION")]
    cxone_region: Option<String>,
    /// Allow plain http in CXONE_BASE_URL for any host
    #[arg(long, env, default_value_t = false, action = clap::ArgAction::Set, num_args = 0..=1,
        default_missing_value = "true", value_name = "BOOL")]
    cxone_allow_http: bool,
    /// How to send the OAuth client's id and secret
    #[arg(long, env, value_enum, default_value = "basic")]
    cxone_auth: AuthStyle,
    /// The OAuth client's quota, shared by all replicas of one database
    #[arg(long, env, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..), value_name = "N")]
    cxone_requests_per_minute: u32,
    /// Time limit of one request to CXone, in milliseconds
    #[arg(long, env, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(100..=60_000),
        value_name = "MS")]
    cxone_timeout_ms: u64,
    /// Verified sender of SMS, E.164
    #[arg(long, env, default_value = "+18005551234", value_name = "NUMBER")]
    sms_from: String,
    /// Webhook endpoint in addition to those created by API
    #[arg(long, env, value_name = "URL")]
    wfo_webhook_url: Option<String>,
    /// Secret that signs requests to WFO_WEBHOOK_URL, `whsec_…`
    #[arg(long, env, hide_env_values = true, value_name = "SECRET")]
    wfo_webhook_secret: Option<SecretString>,
    /// A file that contains WFO_WEBHOOK_SECRET
    #[arg(long, env, value_name = "FILE")]
    wfo_webhook_secret_file: Option<PathBuf>,
    /// Allow webhook receivers on loopback addresses, with plain http
    #[arg(long, env, default_value_t = false, action = clap::ArgAction::Set, num_args = 0..=1,
        default_missing_value = "true", value_name = "BOOL")]
    webhooks_allow_loopback: bool,
    /// Key that encrypts webhook secrets at rest: 32 bytes in base64
    #[arg(long, env, hide_env_values = true, value_name = "BASE64")]
    encryption_key: Option<SecretString>,
    /// A file that contains ENCRYPTION_KEY
    #[arg(long, env, value_name = "FILE")]
    encryption_key_file: Option<PathBuf>,
    /// How long a POST of a callback waits for the outcome by default, in milliseconds
    #[arg(long, env, default_value_t = 3_000, value_parser = clap::value_parser!(u64).range(..=30_000),
        value_name = "MS")]
    callback_wait_ms: u64,
    /// How often a held campaign is checked in CXone, where it may have been started, in milliseconds. Each check is one
    /// request of the quota
    #[arg(long, env, default_value_t = 45_000, value_parser = clap::value_parser!(u64).range(100..=3_600_000),
        value_name = "MS")]
    campaign_check_ms: u64,
    /// What to do with a callback if CXone has no forecast
    #[arg(long, env, value_enum, default_value = "reject")]
    callback_without_forecast: WithoutForecast,
    /// Country of phone numbers in national format, ISO 3166
    #[arg(long, env, default_value = "US", value_name = "COUNTRY")]
    default_region: String,
    /// Time zone in SMS if the callback has none, IANA
    #[arg(long, env, default_value = "UTC", value_name = "ZONE")]
    default_timezone: String,
    /// Shifts this machine's clock forward, in milliseconds; for tests
    #[arg(long, env, hide = true, default_value_t = 0, allow_negative_numbers = true,
        value_parser = clap::value_parser!(i64).range(-86_400_000..=86_400_000), value_name = "MS")]
    clock_offset_ms: i64,
    /// Format of log lines; RUST_LOG filters them
    #[arg(long, env, value_enum, default_value = "json")]
    pub log_format: LogFormat,
}

/// The settings of the service, parsed.
#[derive(Clone, Debug)]
pub struct ServiceSettings {
    /// Address to serve on.
    pub listen_addr: SocketAddr,
    /// The URL of CXone, and the OAuth client.
    pub cxone: cxone::Settings,
    /// Settings for attempts on callbacks.
    pub attempts: AttemptSettings,
    /// Country of phone numbers in national format.
    pub region: Region,
    /// How long a POST waits by default.
    pub default_wait: Duration,
    /// How often a held campaign is checked in CXone.
    pub campaign_check: Duration,
    /// How far the machine's clock is shifted forward.
    pub clock_offset: SignedDuration,
    /// Settings for webhooks.
    pub webhooks: WebhookSettings,
}

impl ServiceArgs {
    /// Parses the settings.
    ///
    /// # Errors
    /// The first setting that is missing or invalid.
    pub fn settings(&self) -> Result<ServiceSettings, BadSetting> {
        let timeout = Duration::from_millis(self.cxone_timeout_ms);
        let named = |name: &'static str| move |fault: crate::types::Fault| BadSetting::new(name, fault.detail);
        let region = Region::parse(&self.default_region).map_err(named("DEFAULT_REGION"))?;
        let client_secret =
            secret("CXONE_CLIENT_SECRET", self.cxone_client_secret.as_ref(), self.cxone_client_secret_file.as_deref())?;
        Ok(ServiceSettings {
            listen_addr: self.listen_addr,
            cxone: cxone::Settings {
                base_url: self.cxone_address()?,
                client_id: given(self.cxone_client_id.as_deref())
                    .ok_or_else(|| BadSetting::missing("CXONE_CLIENT_ID"))?
                    .to_owned(),
                client_secret: client_secret.ok_or_else(|| BadSetting::missing("CXONE_CLIENT_SECRET"))?,
                auth: self.cxone_auth,
                timeout,
                requests_per_minute: self.cxone_requests_per_minute,
            },
            attempts: AttemptSettings {
                without_forecast: self.callback_without_forecast,
                sms_from: PhoneNumber::parse(&self.sms_from, &region).map_err(named("SMS_FROM"))?,
                default_zone: TimeZone::parse(&self.default_timezone).map_err(named("DEFAULT_TIMEZONE"))?,
            },
            region,
            default_wait: Duration::from_millis(self.callback_wait_ms),
            campaign_check: Duration::from_millis(self.campaign_check_ms),
            clock_offset: SignedDuration::from_millis(self.clock_offset_ms),
            webhooks: self.webhooks()?,
        })
    }

    fn cxone_address(&self) -> Result<String, BadSetting> {
        match (given(self.cxone_base_url.as_deref()), given(self.cxone_region.as_deref())) {
            (Some(url), _) => base_url(url, self.cxone_allow_http),
            (None, Some(region)) => region_url(region),
            (None, None) => Err(BadSetting::missing("CXONE_BASE_URL (or CXONE_REGION)")),
        }
    }

    fn webhooks(&self) -> Result<WebhookSettings, BadSetting> {
        let address_policy = AddressPolicy { allow_loopback: self.webhooks_allow_loopback };
        let key = secret("ENCRYPTION_KEY", self.encryption_key.as_ref(), self.encryption_key_file.as_deref())?;
        let cipher = key.map(|key| {
            let bytes = base64::engine::general_purpose::STANDARD.decode(key.expose_secret()).unwrap_or_default();
            SecretCipher::new(&bytes).ok_or_else(|| BadSetting::new("ENCRYPTION_KEY", "must be 32 bytes in base64"))
        });
        let file = self.wfo_webhook_secret_file.as_deref();
        let secret = secret("WFO_WEBHOOK_SECRET", self.wfo_webhook_secret.as_ref(), file)?;
        let secret = secret
            .map(|secret| SigningSecret::parse(&secret).map_err(|fault| BadSetting::new("WFO_WEBHOOK_SECRET", fault)));
        let (cipher, secret) = (cipher.transpose()?, secret.transpose()?);
        let configured = match given(self.wfo_webhook_url.as_deref()) {
            None => None,
            Some(url) => {
                let url =
                    address_policy.parse(url).map_err(|fault| BadSetting::new("WFO_WEBHOOK_URL", fault.detail))?;
                Some((url.into(), secret.ok_or_else(|| BadSetting::missing("WFO_WEBHOOK_SECRET"))?))
            }
        };
        Ok(WebhookSettings { address_policy, cipher, configured })
    }
}

/// An empty setting counts as not set.
fn given(text: Option<&str>) -> Option<&str> {
    text.map(str::trim).filter(|text| !text.is_empty())
}

/// A secret from its own setting, or from the file that `*_FILE` names.
fn secret(name: &str, value: Option<&SecretString>, file: Option<&Path>) -> Result<Option<SecretString>, BadSetting> {
    if let Some(text) = given(value.map(|secret| secret.expose_secret())) {
        return Ok(Some(text.into()));
    }
    let Some(file) = file.filter(|file| !file.as_os_str().is_empty()) else { return Ok(None) };
    let text = std::fs::read_to_string(file)
        .map_err(|error| BadSetting::new(&format!("{name}_FILE"), format!("cannot be read: {error}")))?;
    given(Some(&text)).map(|text| Some(text.into())).ok_or_else(|| BadSetting::new(&format!("{name}_FILE"), "is empty"))
}

fn parse_address(text: &str) -> Result<SocketAddr, String> {
    let found = text.to_socket_addrs().ok().and_then(|mut addresses| addresses.next());
    found.ok_or_else(|| "must be an address and a port, such as 127.0.0.1:8080".into())
}

fn base_url(text: &str, allow_http: bool) -> Result<String, BadSetting> {
    let bad = |fault: &str| BadSetting::new("CXONE_BASE_URL", fault);
    let url = Url::parse(text).map_err(|_| bad("must be a URL such as https://api.us.conversationalcloud.com"))?;
    let host = url.host_str().ok_or_else(|| bad("must name a host"))?;
    let is_loopback = host == "localhost"
        || host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    match url.scheme() {
        "https" => {}
        "http" if is_loopback || allow_http => {}
        "http" => return Err(bad("must be https; for plain http on another host, set CXONE_ALLOW_HTTP=true")),
        _ => return Err(bad("must be an https URL")),
    }
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
        return Err(bad("must be a scheme and a host, without credentials or query"));
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

/// A value with a dot is a host, one without is a region.
fn region_url(region: &str) -> Result<String, BadSetting> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.';
    if !region.bytes().all(plain) || region.len() > 200 {
        return Err(BadSetting::new("CXONE_REGION", "must be a region such as `us`, or a host"));
    }
    let region = region.to_ascii_lowercase();
    let host = if region.contains('.') { region } else { format!("api.{region}.conversationalcloud.com") };
    Ok(format!("https://{host}"))
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(clap::Parser)]
    struct Command {
        #[command(flatten)]
        service: ServiceArgs,
    }

    /// Settings from the required flags and these ones.
    fn settings(flags: &[&str]) -> Result<ServiceSettings, String> {
        let required = ["ringback", "--cxone-client-id=id", "--cxone-client-secret=secret"];
        let command = Command::try_parse_from(required.iter().chain(flags))
            .map_err(|error| BadSetting::from_clap(&error).map_or_else(|| error.to_string(), |bad| bad.to_string()))?;
        command.service.settings().map_err(|bad| bad.to_string())
    }

    #[test]
    fn the_url_of_cxone_follows_from_base_url_or_region() {
        for (flag, address) in [
            ("--cxone-base-url=https://cxone.example/", "https://cxone.example"),
            ("--cxone-base-url=http://127.0.0.1:9090", "http://127.0.0.1:9090"),
            ("--cxone-base-url=http://[::1]:9090/", "http://[::1]:9090"),
            ("--cxone-region=us", "https://api.us.conversationalcloud.com"),
            ("--cxone-region=us-east-1.api.nice.incontact.com", "https://us-east-1.api.nice.incontact.com"),
        ] {
            assert_eq!(settings(&[flag]).map(|settings| settings.cxone.base_url), Ok(address.to_owned()), "{flag}");
        }
    }

    #[test]
    fn a_bad_setting_is_named_in_one_line() {
        let region = "--cxone-region=us";
        for (flags, named) in [
            (vec![], "CXONE_BASE_URL"),
            (vec!["--cxone-base-url=http://cxone.example"], "CXONE_BASE_URL"),
            (vec!["--cxone-base-url=https://user:pass@cxone.example"], "CXONE_BASE_URL"),
            (vec!["--cxone-region=us/east"], "CXONE_REGION"),
            (vec![region, "--cxone-timeout-ms=soon"], "CXONE_TIMEOUT_MS"),
            (vec![region, "--cxone-auth=digest"], "CXONE_AUTH"),
            (vec![region, "--cxone-requests-per-minute=0"], "CXONE_REQUESTS_PER_MINUTE"),
            (vec![region, "--sms-from=nobody"], "SMS_FROM"),
            (vec![region, "--default-region=ZZ"], "DEFAULT_REGION"),
            (vec![region, "--default-timezone=Mars/Olympus"], "DEFAULT_TIMEZONE"),
            (vec![region, "--encryption-key=c2hvcnQ="], "ENCRYPTION_KEY"),
            (vec![region, "--listen-addr=nowhere"], "LISTEN_ADDR"),
            (vec![region, "--wfo-webhook-url=https://wfo.example"], "WFO_WEBHOOK_SECRET"),
        ] {
            let fault = settings(&flags).unwrap_err();
            assert!(fault.starts_with(named) && !fault.contains('\n'), "{flags:?}: {fault}");
        }
    }

    #[test]
    fn plain_http_to_another_host_must_be_allowed() {
        let flags = ["--cxone-base-url=http://simulator:9090", "--cxone-allow-http"];
        assert_eq!(settings(&flags).unwrap().cxone.base_url, "http://simulator:9090");
    }
}
