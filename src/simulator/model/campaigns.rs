//! All campaigns: read by clients, changed by clients and by others.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use axum::http::StatusCode;
use jiff::Timestamp;
use serde_json::Value;

use super::campaign::{Attribute, Campaign, CampaignState, with_revision};
use super::changes::{By, Change, Changes};
use crate::simulator::clock::now;
use crate::simulator::refusal::Refusal;

/// All campaigns by id, and their changes.
#[derive(Default)]
pub(in crate::simulator) struct Campaigns {
    by_id: BTreeMap<String, Entry>,
    changes: Changes,
    /// The starts that were accepted and take effect later, in the order in which they were received.
    pending_starts: Vec<PendingStart>,
    /// Whether a paused campaign starts when its `scheduledResumeTime` is reached.
    pub(in crate::simulator) resume_themselves: bool,
}

struct PendingStart {
    id: String,
    due: Timestamp,
    received_at: Timestamp,
}

struct Entry {
    campaign: Campaign,
    /// Incremented when someone who is not a client changes the campaign.
    revision: u64,
    /// The revision that each client last read.
    read_revisions: HashMap<Arc<str>, u64>,
}

impl Campaigns {
    pub(in crate::simulator) fn new(resume_themselves: bool) -> Self {
        Self { resume_themselves, ..Self::default() }
    }

    pub(in crate::simulator) fn get(&self, id: &str) -> Option<&Campaign> {
        self.by_id.get(id).map(|entry| &entry.campaign)
    }

    /// The campaign as it is now.
    pub(in crate::simulator) fn current(&mut self, id: &str) -> Option<Campaign> {
        self.resume_due();
        self.get(id).cloned()
    }

    /// Creates a campaign, or changes it as another CXone user would. Returns its revision.
    pub(in crate::simulator) fn put(&mut self, id: &str, campaign: Campaign) -> u64 {
        self.resume_due();
        self.changes.record(Change::new(id, &campaign, By::Somebody, now()));
        if let Some(entry) = self.by_id.get_mut(id) {
            entry.campaign = campaign;
            entry.revision += 1;
            return entry.revision;
        }
        self.by_id.insert(id.to_owned(), Entry { campaign, revision: 1, read_revisions: HashMap::new() });
        1
    }

    /// Every campaign with its revision.
    pub(in crate::simulator) fn list(&mut self) -> Vec<Value> {
        self.resume_due();
        let listed = self.by_id.iter().map(|(id, entry)| with_revision(id, &entry.campaign, entry.revision));
        listed.collect()
    }

    /// The changes of one campaign, or of all.
    pub(in crate::simulator) fn changes(&mut self, id: Option<&str>) -> Vec<Value> {
        self.resume_due();
        self.changes.list(id)
    }

    pub(in crate::simulator) fn clear_changes(&mut self) {
        self.changes.clear();
    }

    /// The attributes in a client's change that differ from what the campaign has now.
    pub(in crate::simulator) fn attributes_changed_by(&mut self, id: &str, body: &[u8]) -> Vec<Attribute> {
        self.current(id).map(|campaign| campaign.attributes_changed_by(body)).unwrap_or_default()
    }

    /// The campaign, as read by a client.
    pub(in crate::simulator) fn read(&mut self, id: &str, client: Arc<str>) -> Option<Campaign> {
        self.resume_due();
        let entry = self.by_id.get_mut(id)?;
        entry.read_revisions.insert(client, entry.revision);
        Some(entry.campaign.clone())
    }

    /// The campaign as it is, if this client may make this change.
    pub(in crate::simulator) fn check(
        &mut self,
        id: &str,
        client: &str,
        wanted: &Campaign,
    ) -> Result<Campaign, Refusal> {
        self.resume_due();
        let entry = self.by_id.get(id).ok_or_else(|| Refusal::no_campaign(id))?;
        // Checked first: what the other checks would report may be just what the client has not read yet.
        if entry.read_revisions.get(client).is_some_and(|&read| read < entry.revision) {
            let description = "somebody changed the campaign after you read it: read it again";
            return Err(Refusal::new(StatusCode::CONFLICT, "campaign_changed", description));
        }
        if !entry.campaign.state.is_open() {
            return Err(Refusal::unprocessable("an inactive or suspended campaign cannot be changed"));
        }
        if wanted.dialing_mode != entry.campaign.dialing_mode {
            let description = format!("dialingMode is {:?} and cannot be changed", entry.campaign.dialing_mode);
            return Err(Refusal::unprocessable(description));
        }
        Ok(entry.campaign.clone())
    }

    /// Applies a client's change that was checked when it was received. A campaign that is closed by now is not
    /// changed.
    pub(in crate::simulator) fn apply(&mut self, id: &str, wanted: Campaign, received_at: Timestamp) {
        self.resume_due();
        let Some(entry) = self.by_id.get_mut(id).filter(|entry| entry.campaign.state.is_open()) else {
            return;
        };
        self.changes.record(Change::new(id, &wanted, By::Client, now()).received(received_at));
        entry.campaign = wanted;
    }

    /// Starts a campaign at this time, for a client whose request was received earlier.
    pub(in crate::simulator) fn start_at(&mut self, id: &str, due: Timestamp, received_at: Timestamp) {
        self.pending_starts.push(PendingStart { id: id.to_owned(), due, received_at });
        self.resume_due();
    }

    /// Pauses a campaign for a client. Starts that have not taken effect are dropped.
    pub(in crate::simulator) fn stop(&mut self, id: &str, received_at: Timestamp) {
        self.resume_due();
        self.pending_starts.retain(|start| start.id != id);
        if let Some(campaign) = self.get(id) {
            let paused = Campaign { state: CampaignState::Paused, ..campaign.clone() };
            self.apply(id, paused, received_at);
        }
    }

    /// Lets the starts that are due take effect. A campaign that is closed by now is not changed.
    fn take_pending_starts(&mut self) {
        let now = now();
        for start in self.pending_starts.extract_if(.., |start| start.due <= now) {
            let Some(entry) = self.by_id.get_mut(&start.id).filter(|entry| entry.campaign.state.is_open()) else {
                continue;
            };
            let campaign = &mut entry.campaign;
            (campaign.state, campaign.pause_reason, campaign.scheduled_resume_time) =
                (CampaignState::Active, None, None);
            self.changes.record(Change::new(&start.id, campaign, By::Client, start.due).received(start.received_at));
        }
    }

    /// Lets what is due take effect. Every method that shows a campaign calls this first, so that nobody sees one that
    /// should have been resumed.
    pub(super) fn resume_due(&mut self) {
        self.take_pending_starts();
        if !self.resume_themselves {
            return;
        }
        let now = now();
        for (id, entry) in &mut self.by_id {
            let Some(at) = entry.campaign.resumes_at().filter(|at| *at <= now) else {
                continue;
            };
            let campaign = &mut entry.campaign;
            (campaign.state, campaign.pause_reason, campaign.scheduled_resume_time) =
                (CampaignState::Active, None, None);
            entry.revision += 1;
            self.changes.record(Change::new(id, campaign, By::Schedule, at));
        }
    }
}
