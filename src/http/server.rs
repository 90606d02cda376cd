//! The server for HTTP/1.1 and HTTP/2, with TLS where there is a certificate. By hand around hyper, because `axum::serve` sets no timer: a client that sends the head of a
//! request slowly would keep its connection forever.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Extension;
use hyper_util::server::graceful::GracefulShutdown;
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::client_address::Peer;
use super::layers::ConnectionLimitReached;
use super::server_connection::{Connection, ConnectionLimits};
use crate::tls::ServerTls;

/// The wait after the machine refused a connection, for example because too many files are open.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// Serves until `stop`, and then until the running requests are answered. Dropping the future breaks all connections.
pub async fn serve(listener: TcpListener, router: Router, limits: ConnectionLimits, stop: &CancellationToken) {
    serve_tls(listener, None, router, limits, stop).await;
}

/// As [`serve`], with TLS if there is a certificate.
pub async fn serve_tls(
    listener: TcpListener,
    tls: Option<ServerTls>,
    router: Router,
    limits: ConnectionLimits,
    stop: &CancellationToken,
) {
    let refusing = router.clone().layer(Extension(ConnectionLimitReached));
    let admission = Admission::new(limits);
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    loop {
        let (stream, peer) = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
            accepted = accept(&listener) => accepted,
        };
        // A connection beyond all limits is closed.
        let Some((permit, is_refused)) = admission.admit() else { continue };
        set_options(&stream, limits);
        let connection = Connection {
            router: if is_refused { refusing.clone() } else { router.clone() },
            peer,
            limits,
            is_refused,
            watcher: graceful.watcher(),
            stop: stop.clone(),
        };
        let tls = tls.clone();
        connections.spawn(async move {
            connection.serve(stream, tls).await;
            drop(permit);
        });
    }
    drop(listener);
    graceful.shutdown().await;
}

async fn accept(listener: &TcpListener) -> (TcpStream, Peer) {
    loop {
        match listener.accept().await {
            Ok((stream, address)) => return (stream, Peer(address.ip())),
            Err(error) if is_of_client(&error) => {}
            Err(error) => {
                tracing::error!(error = %error, "a connection cannot be accepted");
                tokio::time::sleep(ACCEPT_AGAIN).await;
            }
        }
    }
}

fn is_of_client(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

fn set_options(stream: &TcpStream, limits: ConnectionLimits) {
    // Responses are small and written at once. Without the options a connection still works.
    let _ = stream.set_nodelay(true);
    let _ = SockRef::from(stream).set_tcp_user_timeout(Some(limits.write_within));
}

/// Counts connections.
struct Admission {
    connections: Arc<Semaphore>,
    refused: Arc<Semaphore>,
}

impl Admission {
    fn new(limits: ConnectionLimits) -> Self {
        Self {
            connections: Arc::new(Semaphore::new(limits.connections)),
            refused: Arc::new(Semaphore::new(limits.refused_connections)),
        }
    }

    /// The permit of a new connection, and whether its request is refused. None beyond all limits.
    fn admit(&self) -> Option<(OwnedSemaphorePermit, bool)> {
        let taken = |permits: &Arc<Semaphore>| Arc::clone(permits).try_acquire_owned().ok();
        taken(&self.connections).map(|permit| (permit, false)).or_else(|| Some((taken(&self.refused)?, true)))
    }
}

#[cfg(test)]
#[path = "server_test.rs"]
mod tests;
