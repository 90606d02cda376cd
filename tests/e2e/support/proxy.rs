//! A proxy to Postgres that loses chosen statements, or their answers.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use sqlx::postgres::PgConnectOptions;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{Database, eventually};

/// What happens to a connection that carries a statement with the text in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Postgres never sees it; the connection ends.
    Statement,
    /// Postgres executes it; its answer is lost, and the connection ends.
    Answer,
}

type Lost = Arc<Mutex<Option<(String, Loss)>>>;

/// A proxy. It ends when it is dropped.
pub struct Proxy {
    pub url: String,
    lost: Lost,
    losses: Arc<AtomicUsize>,
    _end: DropGuard,
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

impl Proxy {
    pub async fn to(database: &Database) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server: PgConnectOptions = database.url.parse().unwrap();
        let mut url = reqwest::Url::parse(&database.url).unwrap();
        url.set_query(None);
        url.set_ip_host(address.ip()).unwrap();
        url.set_port(Some(address.port())).unwrap();
        let (lost, end) = (Lost::default(), CancellationToken::new());
        let losses = Arc::<AtomicUsize>::default();
        let (shared, counter) = (Arc::clone(&lost), Arc::clone(&losses));
        tokio::spawn(end.clone().run_until_cancelled_owned(async move {
            while let Ok((near, _)) = listener.accept().await {
                let (server, lost, losses) = (server.clone(), Arc::clone(&shared), Arc::clone(&counter));
                tokio::spawn(async move { forward(near, connect(&server).await, &lost, &losses).await });
            }
        }));
        Self { url: format!("{url}?sslmode=disable"), lost, losses, _end: end.drop_guard() }
    }

    /// Loses statements with this text from now on.
    pub fn lose(&self, loss: Loss, text: &str) {
        *self.lost.lock().unwrap() = Some((text.to_owned(), loss));
    }

    /// Returns when this many statements or answers have been lost.
    pub async fn lost_when(&self, losses: usize) {
        eventually(&format!("{losses} losses"), async || {
            let lost = self.losses.load(Ordering::Relaxed);
            if lost >= losses { Ok(()) } else { Err(lost.to_string()) }
        })
        .await;
    }

    /// Loses nothing from now on.
    pub fn heal(&self) {
        *self.lost.lock().unwrap() = None;
    }
}

async fn connect(server: &PgConnectOptions) -> Box<dyn Stream> {
    let host = server.get_host().to_owned();
    let directory = server.get_socket().cloned().or_else(|| host.starts_with('/').then(|| host.clone().into()));
    match directory {
        Some(directory) => {
            let path = directory.join(format!(".s.PGSQL.{}", server.get_port()));
            Box::new(UnixStream::connect(path).await.unwrap())
        }
        None => Box::new(TcpStream::connect((host, server.get_port())).await.unwrap()),
    }
}

async fn forward(mut near: TcpStream, mut far: Box<dyn Stream>, lost: &Lost, losses: &AtomicUsize) {
    let (mut asked, mut answered) = (vec![0; 256 * 1024], vec![0; 256 * 1024]);
    loop {
        tokio::select! {
            read = near.read(&mut asked) => {
                let Ok(read @ 1..) = read else { return };
                let asked = &asked[..read];
                let loss = lost.lock().unwrap().clone().filter(|(text, _)| contains(asked, text)).map(|(_, loss)| loss);
                losses.fetch_add(usize::from(loss.is_some()), Ordering::Relaxed);
                if loss == Some(Loss::Statement) || far.write_all(asked).await.is_err() {
                    return;
                }
                if loss == Some(Loss::Answer) {
                    let _ = far.read(&mut answered).await;
                    return;
                }
            }
            read = far.read(&mut answered) => {
                let Ok(read @ 1..) = read else { return };
                if near.write_all(&answered[..read]).await.is_err() {
                    return;
                }
            }
        }
    }
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}
