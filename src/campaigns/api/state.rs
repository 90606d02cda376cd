use std::sync::Arc;

use super::live_state::LiveStates;
use crate::campaigns::answer_rate::AnswerRateStore;
use crate::campaigns::reconcile::CampaignWorker;
use crate::campaigns::store::{CampaignStore, SettingsStore};
use crate::cxone::Cxone;
use crate::types::Region;

/// The state of the routes of campaigns.
#[derive(Clone)]
pub struct Campaigns {
    pub settings: SettingsStore,
    pub store: CampaignStore,
    pub worker: Arc<CampaignWorker>,
    pub cxone: Arc<Cxone>,
    pub live_states: LiveStates,
    pub answer_rates: AnswerRateStore,
    /// The region of phone numbers without a country code.
    pub region: Region,
}
