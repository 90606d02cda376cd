//! Tests of the server and its limits with real sockets.

use std::convert::Infallible;
use std::future::pending;
use std::io::Write;

use axum::body::{Body, Bytes};
use axum::routing::{get, post};
use futures::{StreamExt as _, stream};
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::JoinHandle;
use tracing_subscriber::util::SubscriberInitExt as _;

use super::*;
use crate::clock::Clock;
use crate::http::layers::{RequestLimits, wrap};
use crate::types::TrustedProxies;

const SHORT: Duration = Duration::from_millis(100);
const PATIENCE: Duration = Duration::from_secs(20);

async fn panics() {
    panic!("a route")
}

fn streamed() -> Body {
    let texts = stream::iter([Ok::<_, Infallible>("streamed")]);
    Body::from_stream(texts.inspect(|_| tracing::warn!("within the stream")))
}

struct Server {
    address: std::net::SocketAddr,
    stop: CancellationToken,
    serving: JoinHandle<()>,
}

impl Server {
    async fn start(connections: ConnectionLimits, requests: RequestLimits) -> Self {
        let routes = Router::new()
            .route("/healthz", get(async || "healthy"))
            .route("/stuck", get(pending::<()>))
            .route("/panics", get(panics))
            .route("/stream", get(async || streamed()))
            .route("/", post(async |body: Bytes| body.len().to_string()).get(async || "hello"));
        let router = wrap(routes, Clock::system(), requests, TrustedProxies::default());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let serving = tokio::spawn(async move { serve(listener, router, connections, &stopped).await });
        Self { address, stop, serving }
    }

    /// Sends `text` on a new connection.
    async fn send(&self, text: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        // A server that refuses the connection may have closed it.
        let _ = stream.write_all(text.as_bytes()).await;
        stream
    }

    /// What the server sends until it closes the connection.
    async fn answer(&self, text: &str) -> String {
        received(self.send(text).await).await
    }

    async fn get(&self, path: &str) -> String {
        self.answer(&format!("GET {path} HTTP/1.1\r\nhost: ringback\r\nconnection: close\r\n\r\n")).await
    }
}

async fn received(mut stream: TcpStream) -> String {
    let mut text = String::new();
    // An error means that it closed the connection before it had read everything.
    let _ = tokio::time::timeout(PATIENCE, stream.read_to_string(&mut text)).await.expect("the connection stays open");
    text
}

fn is_overloaded(answer: &str) -> bool {
    answer.starts_with("HTTP/1.1 503") && answer.contains("retry-after: 1") && answer.contains("/problems/unavailable")
}

fn short_heads() -> ConnectionLimits {
    ConnectionLimits { head_within: SHORT, ..ConnectionLimits::default() }
}

#[tokio::test]
async fn a_panic_is_a_problem_and_each_response_has_the_headers_of_all() {
    for (path, status, deadline) in
        [("/", 200, PATIENCE), ("/nowhere", 404, PATIENCE), ("/panics", 500, PATIENCE), ("/stuck", 503, SHORT)]
    {
        let limits = RequestLimits { deadline, ..RequestLimits::default() };
        let server = Server::start(ConnectionLimits::default(), limits).await;
        let answer = server.get(path).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{path}: {answer}");
        assert_eq!(answer.contains("application/problem+json"), status != 200, "{path}: {answer}");
        for header in
            ["x-request-id: ", "x-content-type-options: nosniff", "cache-control: no-store", "x-frame-options: DENY"]
        {
            assert_eq!(answer.matches(header).count(), 1, "{path}: {answer}");
        }
    }
}

#[tokio::test]
async fn a_line_that_is_logged_while_a_body_is_streamed_has_the_id_of_the_request() {
    let server = Server::start(ConnectionLimits::default(), RequestLimits::default()).await;
    // `tracing` decides at the first use of a span whether it is recorded, and again for each new subscriber.
    server.get("/stream").await;
    let lines = Arc::<Mutex<Vec<u8>>>::default();
    let written = Arc::clone(&lines);
    let writer = move || Lines(Arc::clone(&written));
    let _logging = tracing_subscriber::fmt().json().with_writer(writer).set_default();
    let request = "GET /stream HTTP/1.1\r\nhost: ringback\r\nx-request-id: streamed-1\r\nconnection: close\r\n\r\n";
    assert!(server.answer(request).await.contains("streamed"));
    let lines = String::from_utf8(lines.lock().clone()).unwrap();
    let line = lines.lines().find(|line| line.contains("within the stream")).unwrap();
    assert!(line.contains("streamed-1"), "{line}");
}

struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_connection_whose_head_is_sent_slowly_is_closed() {
    let server = Server::start(short_heads(), RequestLimits::default()).await;
    assert!(!server.answer("GET / HTTP/1.1\r\nhost: ring").await.contains("hello"));
}

#[tokio::test]
async fn an_idle_connection_is_closed() {
    let server = Server::start(short_heads(), RequestLimits::default()).await;
    assert!(server.answer("GET / HTTP/1.1\r\nhost: ringback\r\n\r\n").await.ends_with("hello"));
    assert_eq!(server.answer("").await, "");
}

/// Without TLS, the client knows the protocol. A frame: its length, type, flags and stream.
#[tokio::test]
async fn http2_is_answered_and_an_idle_connection_of_it_is_closed() {
    const HEADERS: &[u8] = b"\x00\x00\x0d\x01\x05\x00\x00\x00\x01\x82\x86\x84\x41\x08ringback";
    const SETTINGS: &[u8] = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00";
    let limits = ConnectionLimits { write_within: SHORT, ..short_heads() };
    let server = Server::start(limits, RequestLimits::default()).await;
    let mut stream = server.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    stream.write_all(&[SETTINGS, HEADERS].concat()).await.unwrap();
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("the connection stays open");
    assert!(answer.windows(5).any(|part| part == b"hello"), "{answer:?}");
}

#[tokio::test]
async fn a_request_whose_body_is_sent_slowly_gets_503() {
    let limits = RequestLimits { deadline: SHORT, ..RequestLimits::default() };
    let server = Server::start(ConnectionLimits::default(), limits).await;
    let answer =
        server.answer("POST / HTTP/1.1\r\nhost: ringback\r\ncontent-length: 9\r\nconnection: close\r\n\r\nslow").await;
    assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("/problems/unavailable"), "{answer}");
}

#[tokio::test]
async fn beyond_the_limit_of_requests_only_health_checks_are_answered() {
    let limits = RequestLimits { requests: 1, ..RequestLimits::default() };
    let server = Server::start(ConnectionLimits::default(), limits).await;
    let stuck = server.send("GET /stuck HTTP/1.1\r\nhost: ringback\r\n\r\n").await;
    let refused = until(async || server.get("/").await, |answer| !answer.ends_with("hello")).await;
    assert!(is_overloaded(&refused), "{refused}");
    assert!(server.get("/healthz").await.ends_with("healthy"));
    drop(stuck);
    until(async || server.get("/").await, |answer| answer.ends_with("hello")).await;
}

#[tokio::test]
async fn beyond_the_limit_of_connections_a_request_gets_503_and_a_health_check_its_answer() {
    let limits = ConnectionLimits { connections: 1, refused_connections: 1, ..ConnectionLimits::default() };
    let server = Server::start(limits, RequestLimits::default()).await;
    let first = server.send("").await;
    let refused = until(async || server.get("/").await, |answer| !answer.ends_with("hello")).await;
    assert!(is_overloaded(&refused), "{refused}");
    assert!(server.get("/healthz").await.ends_with("healthy"));

    let second = server.send("GET /stuck").await;
    let beyond_all = until(async || server.get("/").await, String::is_empty).await;
    assert_eq!(beyond_all, "");
    drop((first, second));
    until(async || server.get("/").await, |answer| answer.ends_with("hello")).await;
}

#[tokio::test]
async fn a_stopped_server_answers_running_requests_and_closes_idle_connections() {
    let server = Server::start(ConnectionLimits::default(), RequestLimits::default()).await;
    let idle = server.send("").await;
    let mut running = server.send("POST / HTTP/1.1\r\nhost: ringback\r\ncontent-length: 4\r\n\r\n").await;
    until(async || server.get("/").await, |answer| answer.ends_with("hello")).await;
    server.stop.cancel();
    running.write_all(b"done").await.unwrap();
    assert!(received(running).await.ends_with("\r\n\r\n4"));
    assert_eq!(received(idle).await, "");
    tokio::time::timeout(PATIENCE, server.serving).await.unwrap().unwrap();
}

/// Repeats a request until its answer is as expected: the server handles connections concurrently.
async fn until(answer: impl AsyncFn() -> String, expected: impl Fn(&String) -> bool) -> String {
    let repeated = async {
        loop {
            let text = answer().await;
            if expected(&text) {
                return text;
            }
        }
    };
    tokio::time::timeout(PATIENCE, repeated).await.expect("the expected answer")
}
