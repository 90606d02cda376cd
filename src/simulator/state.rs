//! Everything a simulator knows. Each part has a lock of its own, held for a few instructions and never across an
//! await.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::routing::{get, post};
use jiff::Timestamp;
use uuid::Uuid;

use super::campaigns::{Campaign, Campaigns};
use super::contacts::Contacts;
use super::faults::Faults;
use super::forecast::Forecast;
use super::messages::Messages;
use super::quota::Quota;
use super::record::Journal;
use super::settings::Settings;
use super::tokens::Tokens;
use super::{campaigns, contacts, control, forecast, gate, messages, route, tokens};

/// A handle on one stand-in CXone; clones are the same one.
#[derive(Clone)]
pub struct Simulator {
    state: Arc<State>,
}

/// What the handles share.
pub(super) struct State {
    pub(super) settings: Settings,
    pub(super) tokens: Mutex<Tokens>,
    pub(super) campaigns: Mutex<Campaigns>,
    /// The forecasts that somebody set, by campaign.
    pub(super) forecasts: Mutex<HashMap<String, Forecast>>,
    pub(super) contacts: Mutex<Contacts>,
    pub(super) messages: Mutex<Messages>,
    pub(super) faults: Mutex<Faults>,
    pub(super) journal: Mutex<Journal>,
    pub(super) quota: Mutex<Quota>,
    pub(super) latency: Mutex<Duration>,
    dice: Mutex<fastrand::Rng>,
}

impl Simulator {
    /// A simulator without campaigns, tokens or faults.
    pub fn new(settings: Settings) -> Self {
        let state = State {
            tokens: Mutex::new(Tokens::new(settings.token_lifetime, settings.omit_expires_in)),
            campaigns: Mutex::new(Campaigns::new(settings.resumes_itself)),
            forecasts: Mutex::default(),
            contacts: Mutex::default(),
            messages: Mutex::default(),
            faults: Mutex::default(),
            journal: Mutex::default(),
            quota: Mutex::new(Quota::new(settings.requests_per_minute)),
            latency: Mutex::new(settings.latency),
            dice: Mutex::new(fastrand::Rng::with_seed(settings.seed)),
            settings,
        };
        Self { state: Arc::new(state) }
    }

    /// CXone's routes, and the control API under `/_control`. A `hang` fault ends when the client or the server goes
    /// away; [`serve`](super::serve) sees to the latter.
    pub fn router(&self) -> Router {
        let gate = axum::middleware::from_fn_with_state(self.clone(), gate::pass);
        Router::new()
            .route(route::TOKEN, post(tokens::issue))
            .route(route::CAMPAIGN, get(campaigns::read).put(campaigns::update))
            .route(route::FORECAST, get(forecast::read))
            .route(route::CONTACTS, post(contacts::create))
            .route(route::MESSAGES, post(messages::send))
            // The gate refuses unknown paths itself; the fallback makes them pass through it.
            .fallback(async || ())
            .layer(gate)
            .nest("/_control", control::router())
            .with_state(self.clone())
    }

    /// Adds a campaign, or changes the one of this id as somebody else would: a client that read it before is told
    /// so with 409 when it writes.
    pub fn add_campaign(&self, id: &str, campaign: Campaign) {
        lock(&self.state.campaigns).put(id, campaign);
    }

    pub(super) fn state(&self) -> &State {
        &self.state
    }
}

impl State {
    /// An id that nobody had before: the moment in it keeps two simulators of one seed apart.
    pub(super) fn new_id(&self) -> Uuid {
        let random = self.random().to_be_bytes();
        let millis = u64::try_from(now().as_millisecond()).unwrap_or(0);
        let mut tail = [0; 10];
        tail.copy_from_slice(&random[..10]);
        uuid::Builder::from_unix_timestamp_millis(millis, &tail).into_uuid()
    }

    /// 128 bits of chance.
    pub(super) fn random(&self) -> u128 {
        lock(&self.dice).u128(..)
    }

    /// A number from 0 to 1, never 1 itself.
    pub(super) fn chance(&self) -> f64 {
        lock(&self.dice).f64()
    }
}

/// Takes a lock; what a panicking holder left behind is still consistent, as no section stops half-way.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// This moment. CXone has a clock of its own, which nobody hands it.
#[expect(clippy::disallowed_methods, reason = "the simulator stands for another system, with its own clock")]
pub(super) fn now() -> Timestamp {
    Timestamp::now()
}
