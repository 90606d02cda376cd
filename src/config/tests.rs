//! The errors of settings, secrets in files, and values that depend on two settings.

use std::fs;
use std::path::PathBuf;

use clap::Parser as _;
use secrecy::ExposeSecret as _;
use sqlx::ConnectOptions as _;

use super::{ServiceArgs, ServiceSettings};
use crate::cxone::{Api, V2Settings};

const DATABASE: &str = "--database-url=postgres://nobody@localhost/nothing";
const ID: &str = "--cxone-client-id=id";
const SECRET: &str = "--cxone-client-secret=secret";
const CXONE: &str = "--cxone-region=us";
const REQUIRED: [&str; 4] = [DATABASE, ID, SECRET, CXONE];
/// 32 bytes in base64.
const KEY: &str = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=";

#[derive(clap::Parser)]
struct Command {
    #[command(flatten)]
    service: ServiceArgs,
}

/// Settings from exactly these flags, or the lines of the errors. `DATABASE_URL`, which tests are run with, is not used.
fn parse<'a>(flags: impl IntoIterator<Item = &'a str>) -> Result<ServiceSettings, Vec<String>> {
    let mut arguments: Vec<&str> = ["ringback"].into_iter().chain(flags).collect();
    if !arguments.iter().any(|argument| argument.starts_with("--database-url=")) {
        arguments.push("--database-url=");
    }
    let command = Command::try_parse_from(arguments).unwrap();
    command.service.settings().map_err(|errors| errors.to_string().lines().map(str::to_owned).collect())
}

/// Settings from the required flags and these ones.
fn settings(flags: &[&str]) -> Result<ServiceSettings, Vec<String>> {
    parse(REQUIRED.iter().chain(flags).copied())
}

#[test]
fn the_url_of_cxone_follows_from_base_url_or_region() {
    for (flags, address) in [
        (&["--cxone-base-url=https://cxone.example/"][..], "https://cxone.example"),
        (&["--cxone-base-url=http://127.0.0.1:9090"], "http://127.0.0.1:9090"),
        (&["--cxone-base-url=http://[::1]:9090/"], "http://[::1]:9090"),
        (&["--cxone-base-url=http://simulator:9090", "--cxone-allow-http"], "http://simulator:9090"),
        (&["--cxone-region=us"], "https://api.us.conversationalcloud.com"),
        (&["--cxone-region=us-east-1.api.nice.incontact.com"], "https://us-east-1.api.nice.incontact.com"),
    ] {
        let parsed = parse([DATABASE, ID, SECRET].iter().chain(flags).copied());
        assert_eq!(parsed.map(|settings| v2(&settings).base_url.clone()), Ok(address.to_owned()), "{flags:?}");
    }
}

#[test]
fn a_bad_setting_is_one_line_with_its_variable_and_flag() {
    for (flag, line) in [
        ("--database-url=mysql://localhost", "DATABASE_URL (--database-url) must be a postgres:// URL"),
        ("--cxone-base-url=http://cxone.example", "CXONE_BASE_URL (--cxone-base-url) must be https"),
        ("--cxone-base-url=https://user:pass@cxone.example", "CXONE_BASE_URL (--cxone-base-url) must be a scheme"),
        ("--cxone-allow-http=perhaps", "CXONE_ALLOW_HTTP (--cxone-allow-http) must be one of true, false"),
        ("--cxone-timeout-ms=soon", "CXONE_TIMEOUT_MS (--cxone-timeout-ms) must be 100 to 60000"),
        ("--cxone-timeout-ms=99", "CXONE_TIMEOUT_MS (--cxone-timeout-ms) must be 100 to 60000"),
        ("--cxone-timeout-ms=", "CXONE_TIMEOUT_MS (--cxone-timeout-ms) must be 100 to 60000"),
        ("--cxone-auth=digest", "CXONE_AUTH (--cxone-auth) must be one of basic, form"),
        ("--cxone-requests-per-minute=0", "CXONE_REQUESTS_PER_MINUTE (--cxone-requests-per-minute) must be 1 to"),
        ("--callback-wait-ms=30001", "CALLBACK_WAIT_MS (--callback-wait-ms) must be 0 to 30000"),
        ("--campaign-check-ms=1", "CAMPAIGN_CHECK_MS (--campaign-check-ms) must be 100 to 3600000"),
        ("--callback-without-forecast=guess", "CALLBACK_WITHOUT_FORECAST (--callback-without-forecast) must be one of"),
        ("--sms-from=nobody", "SMS_FROM (--sms-from) must be"),
        ("--default-region=ZZ", "DEFAULT_REGION (--default-region) must be"),
        ("--default-timezone=Mars/Olympus", "DEFAULT_TIMEZONE (--default-timezone) must be"),
        ("--encryption-key=c2hvcnQ=", "ENCRYPTION_KEY (--encryption-key) must be 32 bytes in base64"),
        (
            "--audit-hash-key=c2hvcnQ=",
            "AUDIT_HASH_KEY (--audit-hash-key) must be 32 bytes in base64, or several with commas between",
        ),
        ("--listen-addr=nowhere", "LISTEN_ADDR (--listen-addr) must be an address and a port"),
        ("--metrics-addr=nowhere", "METRICS_ADDR (--metrics-addr) must be an address and a port"),
        ("--tls-cert-file=/nowhere", "TLS_KEY_FILE (--tls-key-file) is required with TLS_CERT_FILE"),
        ("--tls-key-file=/nowhere", "TLS_CERT_FILE (--tls-cert-file) is required with TLS_KEY_FILE"),
        (
            "--otel-exporter-otlp-endpoint=collector:4317",
            "OTEL_EXPORTER_OTLP_ENDPOINT (--otel-exporter-otlp-endpoint) must",
        ),
        ("--oidc-audience=ringback", "OIDC_ISSUER (--oidc-issuer) is required with OIDC_AUDIENCE"),
        ("--log-format=xml", "LOG_FORMAT (--log-format) must be one of json, pretty"),
        ("--wfo-webhook-url=https://wfo.example", "WFO_WEBHOOK_SECRET (--wfo-webhook-secret) is required and not set"),
        ("--wfo-webhook-secret=secret", "WFO_WEBHOOK_URL (--wfo-webhook-url) is required and not set"),
        ("--wfo-webhook-secret=whsec_*", "WFO_WEBHOOK_SECRET (--wfo-webhook-secret) must be base64"),
        ("--webhooks-allow-loopback=perhaps", "WEBHOOKS_ALLOW_LOOPBACK (--webhooks-allow-loopback) must be one of"),
        ("--outbound-proxy-url=proxy.example:3128", "OUTBOUND_PROXY_URL (--outbound-proxy-url) must be an http or"),
        ("--outbound-proxy-url=socks5://proxy.example", "OUTBOUND_PROXY_URL (--outbound-proxy-url) must be an http or"),
        ("--outbound-proxy-url=http://proxy.example/path", "OUTBOUND_PROXY_URL (--outbound-proxy-url) must be"),
        ("--clock-offset-ms=-86400001", "CLOCK_OFFSET_MS (--clock-offset-ms) must be -86400000 to 86400000"),
    ] {
        let name = flag.split('=').next().unwrap();
        let others = REQUIRED.into_iter().filter(|other| other.split('=').next() != Some(name));
        let lines = parse(others.chain([flag])).unwrap_err();
        assert_eq!(lines.len(), 1, "{flag}: {lines:?}");
        assert!(lines[0].starts_with(&format!("error: {line}")), "{flag}: {lines:?}");
    }
    let bad_region = parse([DATABASE, ID, SECRET, "--cxone-region=us/east"]).unwrap_err();
    assert_eq!(bad_region, ["error: CXONE_REGION (--cxone-region) must be a region such as `us`, or a host"]);
}

#[test]
fn all_missing_and_bad_settings_are_reported_together_without_secrets() {
    let lines = parse([
        "--cxone-client-secret-file=/nowhere/hush-hush",
        "--cxone-base-url=",
        "--cxone-allow-http=perhaps",
        "--cxone-auth=digest",
        "--cxone-timeout-ms=99",
        "--sms-from=nobody",
        "--default-region=ZZ",
        "--wfo-webhook-url=http://wfo.example",
        "--encryption-key=hush-hush",
        "--outbound-proxy-url=ftp://user:hush-hush@proxy.example",
        "--log-format=xml",
    ])
    .unwrap_err();
    let names: Vec<&str> = lines.iter().filter_map(|line| line.strip_prefix("error: ")?.split(' ').next()).collect();
    assert_eq!(
        names,
        [
            "DATABASE_URL",
            "CXONE_CLIENT_ID",
            "CXONE_CLIENT_SECRET_FILE",
            "CXONE_ALLOW_HTTP",
            "CXONE_BASE_URL",
            "CXONE_AUTH",
            "CXONE_TIMEOUT_MS",
            "DEFAULT_REGION",
            "SMS_FROM",
            "OUTBOUND_PROXY_URL",
            "ENCRYPTION_KEY",
            "WFO_WEBHOOK_URL",
            "WFO_WEBHOOK_SECRET",
            "LOG_FORMAT",
        ],
        "{lines:#?}"
    );
    let base_url = "error: CXONE_BASE_URL (--cxone-base-url) or CXONE_REGION (--cxone-region) is required and not set";
    assert!(lines.contains(&base_url.to_owned()), "{lines:#?}");
    assert!(!lines.iter().any(|line| line.contains("hush-hush")), "{lines:#?}");
}

#[test]
fn a_url_is_not_refused_because_the_switch_that_may_allow_it_is_invalid() {
    let webhook = ["--wfo-webhook-url=http://127.0.0.1:9000", "--wfo-webhook-secret=secret"];
    for (switch, url) in [
        ("--cxone-allow-http=perhaps", &["--cxone-base-url=http://cxone.example"][..]),
        ("--webhooks-allow-loopback=perhaps", &webhook),
    ] {
        let lines = settings(&[&[switch][..], url].concat()).unwrap_err();
        assert_eq!(lines.len(), 1, "{switch}: {lines:?}");
    }
}

fn v2(settings: &ServiceSettings) -> &V2Settings {
    match &settings.cxone.api {
        Api::V2(v2) => v2,
        Api::Nice(_) => panic!("not v2"),
    }
}

/// A secret: its flag, flags that it needs, a value, the value of another secret, and how to read it from the settings.
type SecretCase = (&'static str, &'static [&'static str], &'static str, &'static str, fn(&ServiceSettings) -> String);

const SECRETS: [SecretCase; 6] = [
    ("database-url", &[ID, SECRET, CXONE], "postgres://a@host/a", "postgres://b@host/b", |settings| {
        address_of(&settings.database)
    }),
    ("cxone-client-secret", &[DATABASE, ID, CXONE], "first", "second", |settings| {
        v2(settings).client_secret.expose_secret().to_owned()
    }),
    (
        "wfo-webhook-secret",
        &[DATABASE, ID, SECRET, CXONE, "--wfo-webhook-url=https://wfo.example"],
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "whsec_AAAQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        |settings| settings.webhooks.configured.as_ref().unwrap().1.reveal(),
    ),
    (
        "encryption-key",
        &REQUIRED,
        KEY,
        "AAEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=",
        // A cipher does not show its key: the key is the one that decrypts.
        |settings| {
            let cipher = settings.webhooks.cipher.as_ref().unwrap();
            let secret = crate::webhooks::SigningSecret::new().unwrap();
            let encrypted = cipher.encrypt(uuid::Uuid::nil(), &secret).unwrap();
            let flag = format!("--encryption-key={KEY}");
            let known = super::tests::settings(&[&flag]).unwrap().webhooks.cipher.unwrap();
            let is_known = known.decrypt(uuid::Uuid::nil(), &encrypted).is_ok();
            if is_known { KEY } else { "another" }.to_owned()
        },
    ),
    ("database-direct-url", &REQUIRED, "postgres://a@direct/a", "postgres://b@direct/b", |settings| {
        address_of(&settings.direct_database)
    }),
    ("outbound-proxy-url", &REQUIRED, "http://user:a@proxy.example", "https://proxy.example:3128", |settings| {
        settings.outbound_proxy.as_ref().unwrap().expose_secret().to_owned()
    }),
];

fn address_of(options: &sqlx::postgres::PgConnectOptions) -> String {
    let url = options.to_url_lossy();
    format!("postgres://{}@{}{}", url.username(), url.host_str().unwrap(), url.path())
}

/// A file in a directory for this test, removed with it.
struct Files(PathBuf);

impl Files {
    fn new(name: &str) -> Self {
        let directory = std::env::temp_dir().join(format!("ringback-{name}-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        Self(directory)
    }

    fn with(&self, content: &[u8]) -> String {
        let path = self.0.join("secret");
        fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn each_secret_can_be_in_a_file_whose_last_newline_is_ignored() {
    let files = Files::new("secrets");
    for (flag, others, value, _, read) in SECRETS {
        for content in [value.to_owned(), format!("{value}\n"), format!("{value}\r\n")] {
            let file = format!("--{flag}-file={}", files.with(content.as_bytes()));
            let parsed = parse(others.iter().copied().chain([file.as_str()])).unwrap();
            assert_eq!(read(&parsed), value, "{flag}: {content:?}");
        }
    }
}

#[test]
fn the_value_of_a_secret_wins_over_its_file() {
    let files = Files::new("both");
    for (flag, others, value, other, read) in SECRETS {
        let given = format!("--{flag}={value}");
        for file in [files.with(other.as_bytes()), "/nowhere".to_owned()] {
            let file = format!("--{flag}-file={file}");
            let parsed = parse(others.iter().copied().chain([given.as_str(), file.as_str()])).unwrap();
            assert_eq!(read(&parsed), value, "{flag}");
        }
        let (empty, file) = (format!("--{flag}="), format!("--{flag}-file={}", files.with(value.as_bytes())));
        let parsed = parse(others.iter().copied().chain([empty.as_str(), file.as_str()])).unwrap();
        assert_eq!(read(&parsed), value, "{flag}: an empty value counts as not set");
    }
}

#[test]
fn a_missing_empty_or_unreadable_file_is_one_line_that_names_its_variable() {
    let files = Files::new("bad");
    let empty = files.with(b"");
    let directory = files.0.to_str().unwrap().to_owned();
    let blank = Files::new("blank");
    let binary = Files::new("binary");
    for (flag, others, ..) in SECRETS {
        for (file, fault) in [
            ("/nowhere/at/all", "cannot be read: "),
            (directory.as_str(), "cannot be read: "),
            (&binary.with(b"\xff\xfe"), "cannot be read: "),
            (&empty, "is an empty file"),
            (&blank.with(b" \n"), "is an empty file"),
        ] {
            let given = format!("--{flag}-file={file}");
            let lines = parse(others.iter().copied().chain([given.as_str()])).unwrap_err();
            let variable = flag.to_uppercase().replace('-', "_");
            assert_eq!(lines.len(), 1, "{given}: {lines:?}");
            let line = format!("error: {variable}_FILE (--{flag}-file) {fault}");
            assert!(lines[0].starts_with(&line), "{given}: {lines:?}");
        }
    }
}

#[test]
fn a_proxy_is_an_http_or_https_url_that_is_not_shown() {
    for url in ["http://proxy.example:3128", "https://user:hush-hush@proxy.example/", "http://[::1]:3128"] {
        let parsed = settings(&[&format!("--outbound-proxy-url={url}")]).unwrap();
        for proxy in [&parsed.outbound_proxy, &parsed.webhooks.proxy] {
            assert_eq!(proxy.as_ref().map(|url| url.expose_secret()), Some(url));
        }
        assert!(!format!("{parsed:?}").contains("hush-hush"));
    }
    assert!(settings(&[]).unwrap().outbound_proxy.is_none());
}

#[test]
fn an_identity_provider_has_an_issuer_an_audience_and_a_mapping() {
    let issuer = "--oidc-issuer=https://id.example/realms/a";
    let (audience, scopes) = ("--oidc-audience=ringback", r#"--oidc-scopes={"ivr": "callbacks:write"}"#);
    let oidc = settings(&[issuer, audience, scopes]).unwrap().oidc.unwrap();
    assert_eq!((oidc.issuer.as_str(), oidc.claim.as_str()), ("https://id.example/realms/a", "scope"));
    assert!(settings(&["--oidc-issuer=", "--oidc-claim="]).unwrap().oidc.is_none());
    for (flags, names) in [
        (
            &[issuer][..],
            &["OIDC_AUDIENCE (--oidc-audience) is required", "OIDC_SCOPES (--oidc-scopes) is required"][..],
        ),
        (&["--oidc-issuer=http://id.example", audience, scopes], &["OIDC_ISSUER (--oidc-issuer) must be an https URL"]),
        (&[issuer, audience, "--oidc-scopes=ivr"], &["OIDC_SCOPES (--oidc-scopes) must be a JSON object"]),
    ] {
        let lines = settings(flags).unwrap_err();
        assert_eq!(lines.len(), names.len(), "{lines:?}");
        for (line, name) in lines.iter().zip(names) {
            assert!(line.starts_with(&format!("error: {name}")), "{lines:?}");
        }
    }
}

#[test]
fn help_shows_defaults_variables_and_possible_values_and_no_secret() {
    let help = <Command as clap::CommandFactory>::command().render_long_help().to_string();
    for text in [
        "[env: CXONE_TIMEOUT_MS",
        "[default: 10000]",
        "[default: 127.0.0.1:8080]",
        "[possible values: true, false]",
        "- window-start:",
        "- basic:",
        "[env: OUTBOUND_PROXY_URL]",
    ] {
        assert!(help.contains(text), "{text}: {help}");
    }
    assert!(!help.contains("clock-offset"), "{help}");
}
