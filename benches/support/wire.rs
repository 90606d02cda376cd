//! The load with the least processor time of its own: prepared requests over plain sockets.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use jiff::SignedDuration;
use ringback::clock::Clock;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::Outcome;
use super::load::{Load, sum_up};
use super::world::World;

/// How long a connection waits for an answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// A service that accepts callbacks.
#[derive(Clone)]
pub struct Target {
    pub address: SocketAddr,
    pub path: &'static str,
    pub key: String,
    /// The requested window, RFC 3339.
    pub window: (String, String),
    /// The number of the next caller. Each is used once.
    pub next: Arc<AtomicU32>,
}

impl Target {
    /// The service of `world`, for callbacks in two to four hours.
    pub fn of(world: &World) -> Outcome<Self> {
        let now = Clock::system().now();
        let hours = |hours| (now + SignedDuration::from_hours(hours)).to_string();
        Ok(Self {
            address: world.service.base_url.trim_start_matches("http://").parse()?,
            path: "/v1/callbacks",
            key: world.key.clone(),
            window: (hours(2), hours(4)),
            next: Arc::default(),
        })
    }

    /// The body of a request of a new caller.
    pub fn payload(&self) -> String {
        let n = self.next.fetch_add(1, Ordering::Relaxed);
        self.payload_of(n)
    }

    /// The body of a request of the n-th caller, below seven million.
    pub fn payload_of(&self, n: u32) -> String {
        let (start, end) = &self.window;
        format!(
            r#"{{"phoneNumber":"+1212{:03}{:04}","requestedStart":"{start}","requestedEnd":"{end}","campaignId":"a1b2c3d4-e5f6-7890-abcd-ef1234567890","language":"en-US"}}"#,
            200 + n / 10_000 % 700,
            n % 10_000
        )
    }

    fn request(&self, body: &str) -> Vec<u8> {
        format!(
            "POST {} HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\n\
             prefer: respond-async\r\ncontent-length: {}\r\n\r\n{body}",
            self.path,
            self.address,
            self.key,
            body.len()
        )
        .into_bytes()
    }
}

/// Posts without a pause over so many connections. `body` makes the next body.
pub async fn sustained(
    target: &Target,
    lasting: Duration,
    connections: usize,
    body: impl Fn(&Target) -> String + Clone + Send + 'static,
) -> Outcome<Load> {
    let end = Instant::now() + lasting;
    let mut posting = JoinSet::new();
    for _ in 0..connections {
        let (target, body) = (target.clone(), body.clone());
        posting.spawn(async move {
            let mut connection = Connection::open(&target).await?;
            let mut load = Load::new()?;
            while Instant::now() < end {
                let request = target.request(&body(&target));
                let started_at = Instant::now();
                let status = tokio::time::timeout(PATIENCE, connection.send(&request)).await.context("no answer")??;
                load.record(status, started_at.elapsed())?;
            }
            Ok(load)
        });
    }
    sum_up(posting).await
}

/// One connection, for one request at a time.
struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    async fn open(target: &Target) -> Outcome<Self> {
        let stream = TcpStream::connect(target.address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(4096) })
    }

    /// Sends a request, reads the whole response, and returns its status.
    async fn send(&mut self, request: &[u8]) -> Outcome<u16> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        loop {
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                bail!("the service closed the connection");
            }
            let mut headers = [httparse::EMPTY_HEADER; 32];
            let mut response = httparse::Response::new(&mut headers);
            let httparse::Status::Complete(head) = response.parse(&self.buffer)? else { continue };
            let is_length = |header: &&httparse::Header<'_>| header.name.eq_ignore_ascii_case("content-length");
            let length = response.headers.iter().find(is_length).context("no content-length")?;
            let length: usize = std::str::from_utf8(length.value)?.parse()?;
            let status = response.code.context("no status")?;
            while self.buffer.len() < head + length {
                if self.stream.read_buf(&mut self.buffer).await? == 0 {
                    bail!("the service closed the connection");
                }
            }
            return Ok(status);
        }
    }
}
