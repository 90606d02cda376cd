//! The state of a simulator. Each part has its own lock, held for a few instructions and never across an await. Who holds
//! the lock of `nice` may take that of `campaigns`, never the other way round.
//! Nothing here knows of requests and responses, except that a call can be refused.

pub(super) mod campaign;
pub(super) mod campaigns;
pub(super) mod changes;
pub(super) mod contacts;
pub(super) mod faults;
pub(super) mod forecast;
pub(super) mod messages;
pub(super) mod nice;
pub(super) mod quota;
pub(super) mod request_log;
pub(super) mod ring;
pub(super) mod settings;
pub(super) mod tokens;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use uuid::Uuid;

use super::clock::now;
use campaign::Campaign;
use campaigns::Campaigns;
use contacts::Contacts;
use faults::Faults;
use forecast::Forecast;
use messages::Message;
use nice::Nice;
use nice::skills::Skill;
use quota::Quota;
use request_log::RequestLog;
use ring::Ring;
use settings::Settings;
use tokens::Tokens;

/// Enough for a long benchmark.
const MESSAGES_KEPT: usize = 100_000;

/// A handle to one simulated CXone; clones share their state.
#[derive(Clone)]
pub struct Simulator {
    model: Arc<Model>,
}

/// What the handles share.
pub(super) struct Model {
    pub(super) settings: Settings,
    pub(super) tokens: Mutex<Tokens>,
    pub(super) campaigns: Mutex<Campaigns>,
    /// The forecasts set through the control API, by campaign.
    pub(super) forecasts: Mutex<HashMap<String, Forecast>>,
    pub(super) contacts: Mutex<Contacts>,
    pub(super) messages: Mutex<Ring<Message>>,
    pub(super) faults: Mutex<Faults>,
    pub(super) request_log: Mutex<RequestLog>,
    pub(super) quota: Mutex<Quota>,
    pub(super) latency: Mutex<Duration>,
    /// What only the `nice` API has.
    nice: Mutex<Nice>,
    rng: Mutex<fastrand::Rng>,
}

impl Simulator {
    /// A simulator without campaigns, tokens or faults.
    pub fn new(settings: Settings) -> Self {
        let model = Model {
            tokens: Mutex::new(Tokens::new(settings.token_lifetime, settings.omit_expires_in)),
            campaigns: Mutex::new(Campaigns::new(settings.resumes_itself)),
            forecasts: Mutex::default(),
            contacts: Mutex::default(),
            messages: Mutex::new(Ring::new(MESSAGES_KEPT)),
            faults: Mutex::default(),
            request_log: Mutex::default(),
            quota: Mutex::new(Quota::new(settings.requests_per_minute)),
            latency: Mutex::new(settings.latency),
            nice: Mutex::default(),
            rng: Mutex::new(fastrand::Rng::with_seed(settings.seed)),
            settings,
        };
        Self { model: Arc::new(model) }
    }

    /// Adds a campaign, or changes the existing one as another CXone user would: a client that has read it before
    /// gets a 409 when it writes.
    pub fn add_campaign(&self, id: &str, campaign: Campaign) {
        self.model.change_campaign(id, |_| campaign);
    }

    pub(super) fn model(&self) -> &Model {
        &self.model
    }
}

impl Model {
    /// Creates a campaign with its skill, or changes it as another CXone user would. Returns it with its revision.
    pub(super) fn change_campaign(&self, id: &str, change: impl FnOnce(Campaign) -> Campaign) -> (Campaign, u64) {
        let mut nice = self.nice();
        nice.skills.link(id);
        let mut campaigns = self.campaigns.lock();
        let campaign = change(campaigns.current(id).unwrap_or_default());
        let revision = campaigns.put(id, campaign.clone());
        (campaign, revision)
    }

    /// What only the `nice` API has, as it is now.
    pub(super) fn nice(&self) -> MutexGuard<'_, Nice> {
        let mut nice = self.nice.lock();
        nice.advance(now(), &mut self.campaigns.lock());
        nice
    }

    /// The skill as it is now.
    pub(super) fn skill(&self, id: u64) -> Option<Skill> {
        let nice = self.nice();
        nice.skills.get(id, &self.campaigns.lock())
    }

    /// All skills as they are now, by id.
    pub(super) fn skills(&self) -> Vec<Skill> {
        let nice = self.nice();
        nice.skills.list(&self.campaigns.lock())
    }

    /// The campaign that a skill belongs to.
    pub(super) fn campaign_of_skill(&self, skill: u64) -> Option<String> {
        self.nice.lock().skills.campaign_of(skill).map(str::to_owned)
    }

    /// The campaign with this number.
    pub(super) fn campaign_of_number(&self, number: u64) -> Option<String> {
        self.nice.lock().skills.campaign_with_number(number).map(str::to_owned)
    }

    /// The skill of a scheduled callback.
    pub(super) fn skill_of_callback(&self, callback: u64) -> Option<u64> {
        self.nice.lock().callbacks.get(callback).map(|callback| callback.wanted.skill_id)
    }

    /// An id that was never used before: its timestamp keeps two simulators with the same seed apart.
    pub(super) fn new_id(&self) -> Uuid {
        let random = self.random().to_be_bytes();
        let millis = u64::try_from(now().as_millisecond()).unwrap_or(0);
        let mut tail = [0; 10];
        tail.copy_from_slice(&random[..10]);
        uuid::Builder::from_unix_timestamp_millis(millis, &tail).into_uuid()
    }

    /// 128 random bits.
    pub(super) fn random(&self) -> u128 {
        self.rng.lock().u128(..)
    }

    /// A random number from 0 up to, but not including, 1.
    pub(super) fn random_share(&self) -> f64 {
        self.rng.lock().f64()
    }

    /// Removes logs, faults, contacts, callbacks, messages and the quota used; keeps campaigns, skills, forecasts, tokens
    /// and settings.
    pub(super) fn reset(&self) {
        self.request_log.lock().clear();
        self.faults.lock().clear();
        self.contacts.lock().clear();
        self.messages.lock().clear();
        self.nice.lock().clear();
        self.quota.lock().clear();
        self.campaigns.lock().clear_changes();
    }
}
