//! What a campaign's state was in CXone, and when.

use jiff::Timestamp;

use super::evidence::{By, Change, Evidence};

pub fn changes<'a>(evidence: &'a Evidence, campaign: &'a str) -> impl Iterator<Item = &'a Change> {
    evidence.changes.iter().filter(move |change| change.campaign == campaign)
}

/// Changes that left the campaign in another state than before, with when the state after it ended.
pub fn transitions<'a>(evidence: &'a Evidence, campaign: &'a str) -> Vec<(&'a Change, Timestamp)> {
    let mut transitions: Vec<(&Change, Timestamp)> = Vec::new();
    for change in changes(evidence, campaign) {
        match transitions.last_mut() {
            Some((last, _)) if last.state == change.state => continue,
            Some((_, until)) => *until = change.at,
            None => {}
        }
        transitions.push((change, ended_at(evidence, campaign)));
    }
    transitions
}

/// From when to when the campaign dialed.
pub fn active_spans(evidence: &Evidence, campaign: &str) -> Vec<(Timestamp, Timestamp)> {
    let transitions = transitions(evidence, campaign).into_iter();
    transitions.filter(|(change, _)| change.state == "ACTIVE").map(|(change, until)| (change.at, until)).collect()
}

/// Whether somebody else, and not the service, was the last to change a campaign, and left it paused.
pub fn is_left_paused(changes: &[Change], campaign: &str) -> bool {
    let mut of_campaign = changes.iter().filter(|change| change.campaign == campaign);
    of_campaign.next_back().is_some_and(|last| last.state == "PAUSED" && last.by == By::Somebody)
}

/// When the campaign was last looked at.
pub fn ended_at(evidence: &Evidence, campaign: &str) -> Timestamp {
    let campaign = evidence.campaigns.iter().find(|other| other.id == campaign);
    campaign.map_or(Timestamp::MAX, |campaign| campaign.at)
}
