//! What a command would do, as far as the campaign that was read says it. The API decides when the command is sent.

use jiff::Timestamp;
use uuid::Uuid;

use super::model::{Campaign, Hold, first_open, last_end};
use crate::console::regulatory_window::RegulatoryWindow;

/// What a pause would do.
#[derive(Debug, PartialEq)]
pub struct PausePreview {
    /// When its hold ends.
    pub ends: Option<Timestamp>,
    /// The end that was asked for, if the regulatory window is closed then.
    pub moved_from: Option<Timestamp>,
    /// When the campaign would dial again, with all holds that it has.
    pub resumes: Option<Timestamp>,
}

impl PausePreview {
    /// Of a pause that ends at this time, with a window of its own.
    pub fn new(campaign: &Campaign, wanted: Option<Timestamp>, own: Option<&RegulatoryWindow>) -> Self {
        let windows = own.into_iter().chain(&campaign.settings.regulatory_window);
        let windows: Vec<_> = windows.filter_map(RegulatoryWindow::parsed).collect();
        let ends = wanted.map(|end| first_open(&windows, end));
        let others = campaign.holds.iter().map(|hold| hold.scheduled_resume_time);
        Self { ends, moved_from: wanted.filter(|end| ends != Some(*end)), resumes: last_end(others.chain([ends])) }
    }
}

/// What a resume would do.
pub struct ResumePreview {
    pub lifted: Vec<Hold>,
    pub remaining: Vec<Hold>,
    /// Compliance holds among the lifted ones whose time is not over.
    pub early: Vec<Hold>,
    /// When the regulatory window opens, if it is closed.
    pub opens_at: Option<Timestamp>,
    /// When the last of the remaining holds ends.
    pub resumes: Option<Timestamp>,
}

impl ResumePreview {
    /// Of a resume that lifts this hold, or all.
    pub fn new(campaign: &Campaign, hold: Option<Uuid>, now: Timestamp) -> Self {
        let is_lifted = |candidate: &Hold| hold.is_none_or(|id| candidate.id == id);
        let (lifted, remaining): (Vec<Hold>, Vec<Hold>) = campaign.holds.iter().cloned().partition(is_lifted);
        let early = lifted.iter().filter(|hold| hold.is_early(now)).cloned().collect();
        let opens_at = campaign.settings.regulatory_window.as_ref().and_then(|window| window.opens_at(now));
        let resumes = last_end(remaining.iter().map(|hold| hold.scheduled_resume_time));
        Self { lifted, remaining, early, opens_at, resumes }
    }

    /// Whether only somebody who may override can do it.
    pub fn needs_override(&self) -> bool {
        !self.early.is_empty() || self.opens_at.is_some()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn hold(id: u128, is_compliance: bool, end: Option<&str>) -> Value {
        json!({"id": Uuid::from_u128(id), "pauseReason": "SCHEDULED", "complianceHold": is_compliance,
            "triggeredBy": "MANUAL_PAUSE", "placedBy": {"name": "wfo"}, "placedAt": "2026-11-20T10:00:00Z",
            "scheduledResumeTime": end})
    }

    /// With a regulatory window from 9 to 21 UTC.
    fn campaign(holds: &[Value]) -> Campaign {
        let window = json!({"startTime": "09:00", "endTime": "21:00", "timezone": "UTC"});
        let settings = json!({"regulatoryWindow": window, "enforceRegulatoryWindow": true, "checkDoNotCall": false});
        let rate = json!({"windowMs": 300_000, "attempts": 0, "answers": 0});
        let campaign = json!({"campaignId": "c", "state": "PAUSED", "pending": false, "holds": holds, "answerRate": rate,
            "settings": settings});
        serde_json::from_value(campaign).unwrap()
    }

    #[test]
    fn a_pause_ends_when_the_window_opens_and_the_campaign_waits_for_its_other_holds() {
        let (evening, opening) = (at("2026-11-20T22:00:00Z"), at("2026-11-21T09:00:00Z"));
        let preview = PausePreview::new(&campaign(&[]), Some(evening), None);
        let expected = PausePreview { ends: Some(opening), moved_from: Some(evening), resumes: Some(opening) };
        assert_eq!(preview, expected);

        let noon = at("2026-11-20T12:00:00Z");
        let later = campaign(&[hold(1, false, Some("2026-11-20T15:00:00Z"))]);
        let preview = PausePreview::new(&later, Some(noon), None);
        let resumes = Some(at("2026-11-20T15:00:00Z"));
        assert_eq!(preview, PausePreview { ends: Some(noon), moved_from: None, resumes });

        let endless = campaign(&[hold(1, false, None)]);
        assert_eq!(PausePreview::new(&endless, Some(noon), None).resumes, None);
        assert_eq!(PausePreview::new(&campaign(&[]), None, None).resumes, None);
    }

    #[test]
    fn a_resume_needs_an_override_before_the_end_of_a_compliance_hold_and_outside_the_window() {
        let end = "2026-11-20T15:00:00Z";
        let held = campaign(&[hold(1, true, Some(end)), hold(2, false, None)]);
        let (noon, evening) = (at("2026-11-20T12:00:00Z"), at("2026-11-20T22:00:00Z"));

        let all = ResumePreview::new(&held, None, noon);
        assert_eq!((all.lifted.len(), all.remaining.len(), all.early.len(), all.needs_override()), (2, 0, 1, true));
        let other = ResumePreview::new(&held, Some(Uuid::from_u128(2)), noon);
        assert_eq!((other.lifted.len(), other.needs_override(), other.resumes), (1, false, Some(at(end))));
        let late = ResumePreview::new(&held, Some(Uuid::from_u128(2)), evening);
        assert_eq!((late.needs_override(), late.opens_at), (true, Some(at("2026-11-21T09:00:00Z"))));
        assert!(!ResumePreview::new(&held, Some(Uuid::from_u128(1)), at("2026-11-20T15:00:00Z")).needs_override());
    }
}
