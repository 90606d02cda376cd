//! The settings of what the service listens on.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::Path;

use super::errors::{BadSetting, SettingErrors};
use super::given::{Given, address, optional_text, resolved, text};
use crate::tls::ServerTls;

/// What the service listens on, as given.
#[derive(Clone, Debug, clap::Args)]
#[expect(clippy::doc_markdown, reason = "clap prints these lines as they are")]
pub struct ListenArgs {
    /// Address to serve on
    #[arg(long, env, default_value = "127.0.0.1:8080", value_parser = address())]
    listen_addr: Given<SocketAddr>,
    /// Address for /metrics, /healthz and /readyz, without TLS; without it, they are on LISTEN_ADDR
    #[arg(long, env, value_parser = text(), value_name = "ADDRESS")]
    metrics_addr: Option<Given<String>>,
    /// Certificate of LISTEN_ADDR and those that signed it, in PEM; read again when it changes. Without it, no TLS
    #[arg(long, env, value_name = "FILE")]
    tls_cert_file: Option<OsString>,
    /// Private key of the certificate, in PEM
    #[arg(long, env, value_name = "FILE")]
    tls_key_file: Option<OsString>,
}

/// What the service listens on.
#[derive(Clone, Debug)]
pub struct ListenSettings {
    /// Address to serve on.
    pub address: SocketAddr,
    /// Address for metrics and health checks, if they are not on the first one.
    pub metrics: Option<SocketAddr>,
    /// The certificate, if the first address has TLS.
    pub tls: Option<ServerTls>,
}

impl ListenArgs {
    /// The settings, or none after adding errors.
    pub fn read(self, errors: &mut SettingErrors) -> Option<ListenSettings> {
        let address = errors.take(self.listen_addr);
        let metrics = errors.take(optional_text(self.metrics_addr).and_then(metrics));
        let tls = errors.take(tls(self.tls_cert_file, self.tls_key_file));
        Some(ListenSettings { address: address?, metrics: metrics?, tls: tls? })
    }
}

fn metrics(text: Option<String>) -> Given<Option<SocketAddr>> {
    text.map(|text| resolved(&text)).transpose().map_err(|fault| BadSetting::new("METRICS_ADDR", fault))
}

fn tls(certificate: Option<OsString>, key: Option<OsString>) -> Given<Option<ServerTls>> {
    let given = |file: Option<OsString>| file.filter(|file| !file.is_empty());
    match (given(certificate), given(key)) {
        (None, None) => Ok(None),
        (Some(_), None) => Err(BadSetting::new("TLS_KEY_FILE", "is required with TLS_CERT_FILE")),
        (None, Some(_)) => Err(BadSetting::new("TLS_CERT_FILE", "is required with TLS_KEY_FILE")),
        (Some(certificate), Some(key)) => ServerTls::load(Path::new(&certificate), Path::new(&key))
            .map(Some)
            .map_err(|error| BadSetting::new(error.variable(), error)),
    }
}
