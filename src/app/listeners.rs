//! What the service accepts connections on.

use std::net::SocketAddr;

use anyhow::Context as _;
use tokio::net::TcpListener;

use crate::config::ListenSettings;
use crate::tls::ServerTls;

/// The ports that are open.
pub struct Listeners {
    /// The public port.
    pub public: TcpListener,
    /// The certificate of the public port, if it has TLS.
    pub tls: Option<ServerTls>,
    /// The port for metrics and health checks, if they have their own.
    pub metrics: Option<TcpListener>,
}

impl Listeners {
    /// Listens on the addresses of the settings.
    ///
    /// # Errors
    /// If an address cannot be used.
    pub async fn bind(settings: &ListenSettings) -> anyhow::Result<Self> {
        let public = bind("LISTEN_ADDR", settings.address).await?;
        let metrics = match settings.metrics {
            Some(address) => Some(bind("METRICS_ADDR", address).await?),
            None => None,
        };
        Ok(Self { public, tls: settings.tls.clone(), metrics })
    }
}

async fn bind(setting: &str, address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address} ({setting})"))
}
