//! Serves a simulator on a socket.

use std::future::Future;
use std::io;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower::ServiceBuilder;

use super::middleware::broken_connection;
use super::model::Simulator;
use super::model::settings::Api;
use super::{control, middleware, nice, v2};

/// How long a stopping server waits for clients that are sending a request.
const GRACE: Duration = Duration::from_millis(500);

/// CXone's routes, and the control API under `/_control`. A `hang` fault ends when the client disconnects or the
/// server stops; only [`serve`] stops it cleanly.
pub fn router(simulator: &Simulator) -> Router {
    let api = simulator.model().settings.api;
    let calls = match api {
        Api::V2 => v2::router(),
        Api::Nice => nice::router(),
        Api::Both => v2::router().merge(nice::router()),
    };
    // The middleware refuses unknown paths; without a fallback they would not pass through it.
    let calls = calls.fallback(async || ()).layer(from_fn_with_state(simulator.clone(), middleware::handle));
    let router = calls.nest("/_control", control::router()).with_state(simulator.clone());
    if api == Api::V2 {
        return router;
    }
    // Before the paths are matched.
    let rewriting = ServiceBuilder::new().map_request(nice::normalised).service(router);
    Router::new().fallback_service(rewriting)
}

/// Serves `simulator` until `shutdown` completes. Connections whose request is still unanswered then are broken, so
/// that a client that waits on a `hang` fault delays nothing; dropping this future breaks them, too.
///
/// # Errors
/// Those of the listener.
pub async fn serve(
    listener: TcpListener,
    simulator: Simulator,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let stop = CancellationToken::new();
    let _stopped_when_dropped = stop.clone().drop_guard();
    let router = router(&simulator).layer(from_fn_with_state(stop.clone(), until_stopped));
    let server = axum::serve(listener, router).with_graceful_shutdown(stop.clone().cancelled_owned());
    let stopping = async {
        shutdown.await;
        stop.cancel();
        tokio::time::sleep(GRACE).await;
    };
    tokio::select! {
        served = server.into_future() => served,
        () = stopping => Ok(()),
    }
}

async fn until_stopped(State(stop): State<CancellationToken>, request: Request, next: Next) -> Response {
    tokio::select! {
        biased;
        response = next.run(request) => response,
        () = stop.cancelled() => broken_connection(),
    }
}
