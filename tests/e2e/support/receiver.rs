//! A receiver of webhooks that fails as it is told to.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

use super::{World, create_key, eventually};

/// 32 bytes in base64.
pub const ENCRYPTION_KEY: &str = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=";

/// How a request is met.
#[derive(Clone, Debug)]
pub enum Reply {
    Status(u16),
    /// With a further header.
    With(u16, &'static str, &'static str),
    /// No answer.
    Hang,
    /// A 200 that breaks off.
    CutOff,
    /// A 200 whose body never ends.
    SlowBody,
    /// A 200 with a body that is far too large.
    HugeBody,
}

/// A request, as it came.
#[derive(Clone, Debug)]
pub struct Received {
    pub headers: HashMap<String, String>,
    pub body: String,
    pub at: std::time::Instant,
}

impl Received {
    /// The body, read.
    pub fn event(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

#[derive(Default)]
struct State {
    received: Vec<Received>,
    replies: VecDeque<Reply>,
}

/// Listens on a loopback address until it is dropped.
pub struct Receiver {
    pub url: String,
    state: Arc<Mutex<State>>,
    task: tokio::task::JoinHandle<()>,
}

impl Receiver {
    /// Answers as it is told to, in order, and with 200 after that.
    pub async fn start(replies: &[Reply]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hooks", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State { received: Vec::new(), replies: replies.iter().cloned().collect() }));
        let shared = Arc::clone(&state);
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(serve(stream, Arc::clone(&shared)));
            }
        });
        Self { url, state, task }
    }

    pub fn received(&self) -> Vec<Received> {
        self.state.lock().unwrap().received.clone()
    }

    /// The requests, once there are so many.
    pub async fn received_when(&self, count: usize) -> Vec<Received> {
        eventually(&format!("{count} webhooks"), async || {
            let received = self.received();
            if received.len() >= count { Ok(received) } else { Err(received.len().to_string()) }
        })
        .await
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// One request after the other; one that makes no sense ends the connection.
async fn serve(stream: TcpStream, state: Arc<Mutex<State>>) -> Option<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.ok().filter(|read| *read > 0)?;
        let mut headers = HashMap::new();
        loop {
            let mut line = String::new();
            stream.read_line(&mut line).await.ok()?;
            let Some((name, value)) = line.trim_end().split_once(": ") else { break };
            headers.insert(name.to_lowercase(), value.to_owned());
        }
        let mut body = vec![0; headers.get("content-length")?.parse().ok()?];
        stream.read_exact(&mut body).await.ok()?;
        let reply = {
            let mut state = state.lock().unwrap();
            let body = String::from_utf8(body).unwrap();
            state.received.push(Received { headers, body, at: std::time::Instant::now() });
            state.replies.pop_front().unwrap_or(Reply::Status(200))
        };
        let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n".to_owned();
        let text = match &reply {
            Reply::Status(status) => format!("HTTP/1.1 {status} As Told\r\ncontent-length: 5\r\n\r\nnoted"),
            Reply::With(status, name, value) => {
                format!("HTTP/1.1 {status} As Told\r\n{name}: {value}\r\ncontent-length: 0\r\n\r\n")
            }
            Reply::Hang => std::future::pending().await,
            Reply::CutOff | Reply::SlowBody => chunked,
            Reply::HugeBody => {
                format!("HTTP/1.1 200 OK\r\ncontent-length: 10000000\r\n\r\n{}", "x".repeat(10_000_000))
            }
        };
        // Whoever has read enough may close the connection.
        stream.write_all(text.as_bytes()).await.ok()?;
        match reply {
            Reply::CutOff => return None,
            Reply::SlowBody => loop {
                tokio::time::sleep(Duration::from_millis(500)).await;
                stream.write_all(b"1\r\nx\r\n").await.ok()?;
            },
            _ => {}
        }
    }
}

impl World {
    /// With webhooks to loopback addresses, and a key for all that they tell of.
    pub async fn of_webhooks(settings: &[(&str, &str)]) -> Self {
        let all = [&[("WEBHOOKS_ALLOW_LOOPBACK", "true"), ("ENCRYPTION_KEY", ENCRYPTION_KEY)], settings].concat();
        let mut world = Self::with(&all).await;
        let scopes = [
            "campaigns:write",
            "campaigns:read",
            "campaigns:override",
            "events:write",
            "audit:read",
            "webhooks:write",
            "webhooks:read",
            "callbacks:write",
            "callbacks:read",
        ];
        world.key = create_key(&world.database, &scopes).await;
        world
    }

    /// Makes an endpoint; gives it as it was answered.
    pub async fn hook(&self, body: Value) -> Value {
        let answer = self.post("/v1/webhooks", &body).await;
        assert_eq!(answer.status(), 201);
        answer.json().await.unwrap()
    }

    /// Makes an endpoint for all events at a receiver; gives its id.
    pub async fn hook_at(&self, receiver: &Receiver) -> String {
        self.hook(json!({"url": receiver.url})).await["id"].as_str().unwrap().to_owned()
    }

    /// The deliveries of an endpoint, newest first, once they are as `wanted` says.
    pub async fn deliveries_when(&self, hook: &str, wanted: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        eventually("deliveries", async || {
            let listed = self.get(&format!("/v1/webhooks/{hook}/deliveries")).await;
            let deliveries = listed["data"].as_array().unwrap().clone();
            if wanted(&deliveries) { Ok(deliveries) } else { Err(listed.to_string()) }
        })
        .await
    }

    /// Sends a request without a body; gives its status.
    pub async fn send(&self, method: Method, path: &str) -> u16 {
        self.request(method, path).send().await.unwrap().status().as_u16()
    }
}
