//! `GET /console/events`: server-sent events.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use futures::stream;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Interval, MissedTickBehavior};

use super::live::{Live, Subscription, Topic};
use super::page::Visit;
use super::problem::ApiProblem;
use super::session::{Session, Sessions};
use super::state::Console;
use crate::http::{Problem, ProblemKind};

/// How often an open stream checks that its session is in force. The copies of sessions and keys answer.
const CHECK_EVERY: Duration = Duration::from_secs(5);
/// Keeps proxies from closing a connection on which nothing happens.
const SIGN_OF_LIFE: Duration = Duration::from_secs(15);
/// The `Retry-After` beyond the limit of streams, in seconds.
const RETRY_AFTER: u64 = 30;

/// The routes of the script.
pub fn routes() -> Router<Arc<Console>> {
    let session = async || StatusCode::NO_CONTENT;
    Router::new().route("/console/events", get(events)).route("/console/fragments/session", get(session))
}

async fn events(State(console): State<Arc<Console>>, visit: Visit) -> Result<Response, ApiProblem> {
    let full = || Problem::new(ProblemKind::Unavailable, "too many consoles are open").retry_after(RETRY_AFTER);
    let subscription = console.live.subscribe().ok_or_else(full)?;
    let mut check = tokio::time::interval(CHECK_EVERY);
    check.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (sessions, live) = (console.sessions.clone(), console.live.clone());
    let stream = Stream { subscription, check, session: visit.session, sessions, live };
    // Its first event tells the browser, and any proxy, that the stream has begun.
    let begin = stream::once(async { Ok::<_, Infallible>(Event::default().event("begin").data("")) });
    let events = stream::unfold(stream, async |mut stream| Some((Ok(stream.next().await?), stream)));
    let events = futures::StreamExt::chain(begin, events);
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(SIGN_OF_LIFE)).into_response())
}

/// The stream of one browser.
struct Stream {
    subscription: Subscription,
    check: Interval,
    session: Arc<Session>,
    sessions: Sessions,
    live: Live,
}

impl Stream {
    /// None at its end: the session is over, or the service stops.
    async fn next(&mut self) -> Option<Event> {
        loop {
            tokio::select! {
                () = self.live.stop().cancelled() => return None,
                topic = self.subscription.topics.recv() => return event(topic),
                // While Postgres does not answer, the stream goes on: it has names only.
                _ = self.check.tick() => if matches!(self.sessions.is_in_force(&self.session).await, Ok(false)) {
                    return None;
                },
            }
        }
    }
}

fn event(topic: Result<Topic, RecvError>) -> Option<Event> {
    let changed = |data| Event::default().event("change").data(data);
    match topic {
        Ok(topic) => Some(changed(topic.name())),
        Err(RecvError::Lagged(_)) => Some(changed("all")),
        Err(RecvError::Closed) => None,
    }
}
