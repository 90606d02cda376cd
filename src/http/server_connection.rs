//! One connection of the server: its handshake, its protocol and the limits on it.

use std::convert::Infallible;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, HttpBody as _};
use axum::extract::Request;
use axum::response::Response;
use futures::StreamExt as _;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::Watcher;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;
use tower::util::MapRequest;

use super::client_address::Peer;
use crate::tls::ServerTls;

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

impl ConnectionLimits {
    /// For the port that only health checks and a collector of metrics use.
    pub fn for_metrics() -> Self {
        Self { connections: 64, refused_connections: 0, ..Self::default() }
    }
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            head_within: Duration::from_secs(30),
            write_within: Duration::from_secs(30),
            connections: 10_240,
            refused_connections: 256,
        }
    }
}

/// The longest head of a request.
const MAX_HEAD: u16 = 32 * 1024;
/// The longest TLS handshake.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(10);
/// The requests of one HTTP/2 connection at the same time.
const MAX_STREAMS: u32 = 128;
/// The longest time in which an HTTP/2 connection ends its requests once it takes no new ones. Longer than a request.
const STREAMS_END_WITHIN: Duration = Duration::from_mins(1);
/// What an HTTP/2 connection begins with, as far as no HTTP/1.1 request begins with it.
const PREFACE: &[u8] = b"PRI * HTTP/2";

/// A connection that was accepted.
pub struct Connection {
    pub router: Router,
    pub peer: Peer,
    pub limits: ConnectionLimits,
    /// It is beyond the limit and gets one response.
    pub is_refused: bool,
    /// The server waits for it to end.
    pub watcher: Watcher,
    pub stop: CancellationToken,
}

impl Connection {
    /// Serves it until it ends. Errors are the client's: it disconnected, was too slow, or does not speak HTTP.
    pub async fn serve(self, stream: TcpStream, tls: Option<ServerTls>) {
        match tls {
            // Each in memory of its own: a connection without TLS, of which there may be many, is small.
            Some(tls) => Box::pin(self.serve_tls(stream, tls)).await,
            None => self.serve_plain(stream).await,
        }
    }

    async fn serve_tls(self, stream: TcpStream, tls: ServerTls) {
        let stop = self.stop.clone();
        let acceptor = TlsAcceptor::from(tls.config(!self.is_refused));
        let handshake = tokio::time::timeout(HANDSHAKE_WITHIN, acceptor.accept(stream));
        let Some(Ok(Ok(stream))) = stop.run_until_cancelled(Box::pin(handshake)).await else { return };
        let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        self.serve_http(stream, is_http2).await;
    }

    async fn serve_plain(self, stream: TcpStream) {
        let stop = self.stop.clone();
        let first = tokio::time::timeout(self.limits.head_within, begins_with_preface(&stream));
        let Some(Ok(Ok(is_http2))) = stop.run_until_cancelled(first).await else { return };
        self.serve_http(stream, is_http2).await;
    }

    async fn serve_http(self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, is_http2: bool) {
        match (is_http2, self.is_refused) {
            (true, false) => Box::pin(self.serve_http2(stream)).await,
            // Only a client that does not ask for the protocol first.
            (true, true) => {}
            (false, _) => Box::pin(self.serve_http1(stream)).await,
        }
    }

    async fn serve_http1(self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
        let mut server = http1::Builder::new();
        server
            .timer(TokioTimer::new())
            .header_read_timeout(self.limits.head_within)
            .max_buf_size(MAX_HEAD.into())
            .keep_alive(!self.is_refused);
        let (router, peer) = (self.router, self.peer);
        let service = TowerToHyperService::new(MapRequest::new(router, move |request| with_peer(request, peer)));
        let connection = server.serve_connection(TokioIo::new(stream), service);
        let _ = self.watcher.watch(connection).await;
    }

    /// hyper has no limit on the time without a request here.
    async fn serve_http2(self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
        let mut server = http2::Builder::new(TokioExecutor::new());
        server
            .timer(TokioTimer::new())
            .max_concurrent_streams(MAX_STREAMS)
            .max_header_list_size(MAX_HEAD.into())
            .keep_alive_interval(self.limits.head_within)
            .keep_alive_timeout(self.limits.write_within);
        let (activity, router, peer) = (Arc::new(Activity::default()), self.router, self.peer);
        let begun = Arc::clone(&activity);
        let service = service_fn(move |request| run(router.clone(), with_peer(request, peer), begun.begin()));
        let mut connection = pin!(server.serve_connection(TokioIo::new(stream), service));
        let ends_within = tokio::select! {
            _ = connection.as_mut() => return,
            () = self.stop.cancelled() => STREAMS_END_WITHIN,
            // It has no streams: only the client's acknowledgement is left.
            () = activity.idle_for(self.limits.head_within) => self.limits.write_within,
        };
        connection.as_mut().graceful_shutdown();
        let _ = tokio::time::timeout(ends_within, connection).await;
        drop(self.watcher);
    }
}

async fn run(router: Router, request: hyper::Request<Incoming>, running: Running) -> Result<Response, Infallible> {
    let response = router.oneshot(request.map(Body::new) as Request).await?;
    // A stream may pause for longer than a connection may be idle.
    let is_stream = response.body().size_hint().exact().is_none();
    Ok(if is_stream { response.map(|body| running_until_end(body, running)) } else { response })
}

fn running_until_end(body: Body, running: Running) -> Body {
    Body::from_stream(body.into_data_stream().inspect(move |_| {
        let _ = &running;
    }))
}

fn with_peer(mut request: hyper::Request<Incoming>, peer: Peer) -> hyper::Request<Incoming> {
    request.extensions_mut().insert(peer);
    request
}

/// Waits for the first bytes of a connection without TLS, and leaves them there.
async fn begins_with_preface(stream: &TcpStream) -> io::Result<bool> {
    let mut first = [0; PREFACE.len()];
    let count = stream.peek(&mut first).await?;
    Ok(count > 2 && PREFACE.starts_with(&first[..count]))
}

/// Counts the requests of an HTTP/2 connection.
#[derive(Default)]
struct Activity {
    begun: AtomicUsize,
    running: AtomicUsize,
}

/// A request that is running.
struct Running(Arc<Activity>);

impl Activity {
    fn begin(self: &Arc<Self>) -> Running {
        self.begun.fetch_add(1, Ordering::Relaxed);
        self.running.fetch_add(1, Ordering::Relaxed);
        Running(Arc::clone(self))
    }

    /// Returns when there was no request for this long.
    async fn idle_for(&self, limit: Duration) {
        let mut before = usize::MAX;
        loop {
            let begun = self.begun.load(Ordering::Relaxed);
            if begun == before && self.running.load(Ordering::Relaxed) == 0 {
                return;
            }
            before = begun;
            tokio::time::sleep(limit).await;
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::Relaxed);
    }
}
