//! A TCP address that leads to the primary of a cluster, in place of a virtual address, a proxy or a service of Kubernetes.

use std::net::SocketAddr;
use std::path::PathBuf;

use tokio::io::{copy, copy_bidirectional, sink};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;

/// What clients see of a primary that has died.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outage {
    /// Its connections end, and new ones are refused, as when the server's process dies.
    Closed,
    /// Nothing is answered, also on connections that are open, as when its machine loses power or the network.
    Silent,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Route {
    To(PathBuf),
    Nowhere(Outage),
}

/// Accepts connections and forwards each to the socket of the primary.
pub struct Forwarder {
    pub address: SocketAddr,
    route: watch::Sender<Route>,
}

impl Forwarder {
    /// Forwards to this Unix socket.
    pub async fn start(socket: PathBuf) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (route, routes) = watch::channel(Route::To(socket));
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(forward(client, routes.clone()));
            }
        });
        Self { address, route }
    }

    /// Ends the connections to the old primary, and forwards new ones to this socket. Connections that are silent stay so.
    pub fn lead_to(&self, socket: PathBuf) {
        self.route.send_replace(Route::To(socket));
    }

    /// Forwards nothing until `lead_to`.
    pub fn interrupt(&self, outage: Outage) {
        self.route.send_replace(Route::Nowhere(outage));
    }
}

/// Forwards one connection until it ends or the route changes.
async fn forward(mut client: TcpStream, mut routes: watch::Receiver<Route>) {
    let _ = client.set_nodelay(true);
    let route = routes.borrow_and_update().clone();
    let outage = match route {
        Route::To(socket) => {
            let Ok(mut server) = UnixStream::connect(socket).await else { return };
            tokio::select! {
                _ = copy_bidirectional(&mut client, &mut server) => Outage::Closed,
                changed = routes.changed() => match (changed, &*routes.borrow()) {
                    (Ok(()), Route::Nowhere(outage)) => *outage,
                    _ => Outage::Closed,
                },
            }
        }
        Route::Nowhere(outage) => outage,
    };
    if outage == Outage::Silent {
        let _ = copy(&mut client, &mut sink()).await;
    }
}
