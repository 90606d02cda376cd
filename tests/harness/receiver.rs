//! A receiver of webhooks whose replies can be chosen.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

use super::eventually;

/// The reply to a request.
#[derive(Clone, Debug)]
pub enum Reply {
    Status(u16),
    /// With an additional header.
    With(u16, &'static str, &'static str),
    /// No reply.
    Hang,
    /// A 200 whose body is cut off.
    CutOff,
    /// A 200 whose body never ends.
    SlowBody,
    /// A 200 with a body of 10 MB.
    HugeBody,
}

/// A request that was received.
#[derive(Clone, Debug)]
pub struct Received {
    pub headers: HashMap<String, String>,
    pub body: String,
}

impl Received {
    /// The body as JSON.
    pub fn event(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

type NextReply = Box<dyn FnMut(&Received) -> Reply + Send>;

struct State {
    received: Vec<Received>,
    next_reply: NextReply,
}

/// Listens on a loopback address until it is dropped.
pub struct Receiver {
    pub url: String,
    state: Arc<Mutex<State>>,
    task: tokio::task::JoinHandle<()>,
}

impl Receiver {
    /// Gives these replies in order, and 200 after that.
    pub async fn start(replies: &[Reply]) -> Self {
        let mut replies = Vec::from(replies).into_iter();
        Self::replying(move |_| replies.next().unwrap_or(Reply::Status(200))).await
    }

    /// Asks for the reply to each request.
    pub async fn replying(next_reply: impl FnMut(&Received) -> Reply + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hooks", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State { received: Vec::new(), next_reply: Box::new(next_reply) }));
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
        self.state.lock().received.clone()
    }

    /// The requests, when there are at least `count`.
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

/// Answers one request after the other. A request that cannot be parsed ends the connection.
async fn serve(stream: TcpStream, state: Arc<Mutex<State>>) -> Option<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let received = read(&mut stream).await?;
        let reply = {
            let mut state = state.lock();
            let reply = (state.next_reply)(&received);
            state.received.push(received);
            reply
        };
        let text = head_and_body(&reply);
        if matches!(reply, Reply::Hang) {
            std::future::pending::<()>().await;
        }
        // The client may close the connection before it has read everything.
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

async fn read(stream: &mut BufReader<TcpStream>) -> Option<Received> {
    let mut request_line = String::new();
    stream.read_line(&mut request_line).await.ok().filter(|read| *read > 0)?;
    let mut headers = HashMap::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        headers.insert(name.to_lowercase(), value.to_owned());
    }
    let mut body = vec![0; headers.get("content-length")?.parse().ok()?];
    stream.read_exact(&mut body).await.ok()?;
    Some(Received { headers, body: String::from_utf8(body).unwrap() })
}

fn head_and_body(reply: &Reply) -> String {
    match reply {
        Reply::Status(status) => format!("HTTP/1.1 {status} Status\r\ncontent-length: 5\r\n\r\nnoted"),
        Reply::With(status, name, value) => {
            format!("HTTP/1.1 {status} Status\r\n{name}: {value}\r\ncontent-length: 0\r\n\r\n")
        }
        Reply::Hang => String::new(),
        Reply::CutOff | Reply::SlowBody => {
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n".to_owned()
        }
        Reply::HugeBody => format!("HTTP/1.1 200 OK\r\ncontent-length: 10000000\r\n\r\n{}", "x".repeat(10_000_000)),
    }
}
