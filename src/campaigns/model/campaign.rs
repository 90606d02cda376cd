//! A campaign as Ringback stores it, and what can be read from it at a given time.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::answer_rate::Counts;
use super::hold::Hold;
use super::last_sent::{Cause, LastSent};
use super::regulatory_window::{RegulatoryWindowView, first_open};
use super::report::{Failure, Report, Status};
use super::settings::CampaignSettings;
use crate::cxone::CampaignState;
use crate::types::{CampaignId, DailyWindow};

/// An accepted resume. It lasts until CXone has confirmed that the campaign dials. It comes from a command, or from the
/// end of the last hold of a campaign that Ringback had paused.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Resume {
    pub cause: Cause,
    /// Whether it comes from the end of a hold. Such a resume starts only what Ringback itself had paused.
    pub is_scheduled: bool,
    pub max_agents: Option<u32>,
    /// The windows that must be open when the campaign starts.
    pub windows: Vec<RegulatoryWindowView>,
    /// Until then the windows are ignored, because the command overrode them.
    pub forced_until: Option<Timestamp>,
}

impl Resume {
    /// The first time at which all windows are open or overridden.
    pub fn starts_at(&self, now: Timestamp) -> Timestamp {
        if self.forced_until.is_some_and(|until| now < until) {
            return now;
        }
        let windows: Vec<DailyWindow> =
            self.windows.iter().filter_map(|stored| DailyWindow::try_from(stored.clone()).ok()).collect();
        first_open(&windows.iter().collect::<Vec<_>>(), now)
    }
}

/// A campaign.
#[derive(Clone, Debug, PartialEq)]
pub struct Campaign {
    pub id: CampaignId,
    pub settings: CampaignSettings,
    /// The holds that are not lifted.
    pub holds: Vec<Hold>,
    /// The state that CXone last showed or confirmed, and when.
    pub seen: Option<(CampaignState, Timestamp)>,
    pub last_sent: LastSent,
    pub resume: Option<Resume>,
    /// Until then the regulatory window of the settings is overridden.
    pub override_until: Option<Timestamp>,
    /// Consecutive attempts that CXone did not carry out.
    pub failures: u32,
    pub failure: Option<Failure>,
    /// When there is next something to do.
    pub due_at: Option<Timestamp>,
    /// When to check next whether the campaign was changed outside Ringback.
    pub check_at: Option<Timestamp>,
    /// The version that the next save replaces.
    pub revision: i64,
    pub leased_by: Option<Uuid>,
    /// Dialer events count from then on: the campaign's last start.
    pub counted_from: Option<Timestamp>,
    /// What the dialer did in the answer rate's window, when the campaign was loaded.
    pub counts: Counts,
    /// Whether the current read found that the campaign was started outside Ringback. Not stored.
    pub started_externally: bool,
    pub created_at: Timestamp,
}

/// How requests to CXone are timed.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// The pause for the close of an enforced window is sent this long before it.
    pub pause_lead: Duration,
    /// A request whose outcome is unknown may take effect for this long after it was decided on.
    pub uncertain_for: Duration,
    /// The interval between checks of a held campaign.
    pub check_interval: Duration,
}

impl Campaign {
    /// A campaign of which nothing is known but the state that CXone shows.
    pub fn from_cxone(id: CampaignId, state: CampaignState, now: Timestamp) -> Self {
        Self {
            id,
            settings: CampaignSettings::default(),
            holds: Vec::new(),
            seen: Some((state, now)),
            last_sent: LastSent::default(),
            resume: None,
            override_until: None,
            failures: 0,
            failure: None,
            due_at: None,
            check_at: None,
            revision: 1,
            leased_by: None,
            counted_from: None,
            counts: Counts::default(),
            started_externally: false,
            created_at: now,
        }
    }

    /// The state that CXone last showed or confirmed.
    pub fn state(&self) -> Option<CampaignState> {
        self.seen.map(|(state, _)| state)
    }

    /// Whether CXone has ever shown it, or a command was accepted for it.
    pub fn is_known(&self) -> bool {
        self.seen.is_some() || !self.holds.is_empty() || self.resume.is_some() || !self.last_sent.is_empty()
    }

    /// The window of the settings.
    pub fn window(&self) -> Option<&DailyWindow> {
        self.settings.regulatory_window.as_ref()
    }

    /// The window of the settings, where Ringback enforces it.
    pub fn enforced_window(&self) -> Option<&DailyWindow> {
        self.window().filter(|_| self.settings.enforce_regulatory_window)
    }

    /// The window of the settings, unless it is overridden at `now`.
    pub fn window_at(&self, now: Timestamp) -> Option<&DailyWindow> {
        self.window().filter(|_| self.override_until.is_none_or(|until| until <= now))
    }

    /// The holds that keep the campaign from dialing at `now`.
    pub fn in_force(&self, now: Timestamp) -> impl Iterator<Item = &Hold> {
        self.holds.iter().filter(move |hold| hold.is_in_force(now, self.window_at(now)))
    }

    /// Whether any hold keeps the campaign from dialing at `now`.
    pub fn is_held(&self, now: Timestamp) -> bool {
        self.in_force(now).next().is_some()
    }

    /// Whether no hold and no closed window keeps the campaign from dialing at `now`.
    pub fn may_dial(&self, now: Timestamp) -> bool {
        !self.is_held(now) && self.window_at(now).is_none_or(|window| window.is_open(now))
    }

    /// When the last hold ends, or the windows of an accepted resume are open. `None` where a hold is open-ended, or there
    /// is neither a hold nor a resume.
    pub fn resumes_at(&self, now: Timestamp) -> Option<Timestamp> {
        let ends: Option<Vec<_>> = self.in_force(now).map(|hold| hold.end(now, self.window_at(now))).collect();
        let resume = self.resume.as_ref().map(|resume| resume.starts_at(now));
        let last = ends?.into_iter().max().or(resume)?;
        Some(self.enforced_window().map_or(last, |window| window.next_opening(last)))
    }

    /// The report on the campaign as it is now.
    pub fn report(&self, previous: Option<CampaignState>, status: Status, now: Timestamp) -> Report {
        Report {
            campaign_id: self.id.clone(),
            previous,
            state: self.state(),
            status,
            holds: self.in_force(now).cloned().collect(),
            resumes_at: self.resumes_at(now),
            audit_id: None,
            failure: self.failure.clone(),
        }
    }
}
