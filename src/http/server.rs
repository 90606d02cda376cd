//! The HTTP/1.1 server. By hand around hyper, because `axum::serve` sets no timer: a client that sends the head of a
//! request slowly would keep its connection forever.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Extension;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::layers::ConnectionLimitReached;

/// What clients may hold.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionLimits {
    /// The longest time until the head of the next request is complete, idle time included.
    pub head_within: Duration,
    /// The longest time in which a client acknowledges no byte of a response.
    pub write_within: Duration,
    /// Connections at the same time.
    pub connections: usize,
    /// Connections beyond `connections` that get one response: a health check its own, any other request a 503.
    pub refused_connections: usize,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            head_within: Duration::from_secs(30),
            write_within: Duration::from_secs(30),
            connections: 4096,
            refused_connections: 256,
        }
    }
}

/// The longest head of a request.
const MAX_HEAD: usize = 32 * 1024;
/// The wait after the machine refused a connection, for example because too many files are open.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// Serves until `stop`, and then until the running requests are answered. Dropping the future breaks all connections.
pub async fn serve(listener: TcpListener, router: Router, limits: ConnectionLimits, stop: &CancellationToken) {
    let refusing = router.clone().layer(Extension(ConnectionLimitReached));
    let admission = Admission::new(limits);
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    loop {
        let stream = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
            stream = accept(&listener) => stream,
        };
        // A connection beyond all limits is closed.
        let Some((permit, is_refused)) = admission.admit() else { continue };
        set_options(&stream, limits);
        let mut server = http1::Builder::new();
        server
            .timer(TokioTimer::new())
            .header_read_timeout(limits.head_within)
            .max_buf_size(MAX_HEAD)
            .keep_alive(!is_refused);
        let service = TowerToHyperService::new(if is_refused { refusing.clone() } else { router.clone() });
        let connection = graceful.watch(server.serve_connection(TokioIo::new(stream), service));
        connections.spawn(async move {
            // An error is the client's: it disconnected, was too slow, or does not speak HTTP.
            let _ = connection.await;
            drop(permit);
        });
    }
    drop(listener);
    graceful.shutdown().await;
}

async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
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
