//! Campaigns: their final state, whether they were started only when allowed, and what the webhooks say.

use std::collections::{HashMap, HashSet};

use jiff::SignedDuration;
use serde::Serialize;
use serde_json::{Value, json};

use super::callbacks::{instant, text};
use super::evidence::{AckedHold, Activation, By, CampaignEnd, Evidence, SentResume};
use super::history::{active_spans, changes, is_left_paused, transitions};
use super::{Kind, Violation, holds};

/// Between a clock that was read and the request that it decided.
const CLOCK_SLACK: SignedDuration = SignedDuration::from_millis(100);
/// An answer travels for so long after CXone confirmed the pause.
const AFTER_CONFIRMED: SignedDuration = SignedDuration::from_millis(100);
/// A resume that was on its way when the hold was kept (202) may still arrive; it is taken back then.
const AFTER_KEPT: SignedDuration = SignedDuration::from_secs(20);
/// Of what came last, in a violation.
const SHOWN: usize = 12;
/// A state that lasted for so long in CXone was noticed and written down, whatever failed.
const NOTICED_WITHIN: SignedDuration = SignedDuration::from_secs(45);
/// A change that took longer than a request may take came as a surprise to the service itself.
const IN_TIME: SignedDuration = SignedDuration::from_secs(3);

pub fn judge(evidence: &Evidence) -> Vec<Violation> {
    let mut found = Vec::new();
    for campaign in &evidence.campaigns {
        found.extend(judge_end(campaign, evidence));
        judge_log(campaign, evidence, &mut found);
    }
    for activation in &evidence.activations {
        let broken = evidence.holds.iter().find(|hold| forbids(hold, activation));
        found.extend(broken.map(|hold| {
            let details = json!({ "activation": activation, "hold": hold });
            Violation::new(Kind::Wrong, "a campaign was started while a compliance hold was in force", details)
        }));
    }
    found.extend(evidence.resumes.iter().filter_map(|resume| judge_resume(resume, evidence)));
    judge_told(evidence, &mut found);
    found
}

fn forbids(hold: &AckedHold, activation: &Activation) -> bool {
    let grace = if hold.confirmed { AFTER_CONFIRMED } else { AFTER_KEPT };
    hold.compliance
        && hold.campaign == activation.campaign
        && hold.acked_at + grace < activation.at
        && activation.at < hold.ends_at - CLOCK_SLACK
}

fn judge_end(campaign: &CampaignEnd, evidence: &Evidence) -> Vec<Violation> {
    let mut found = Vec::new();
    let is_held = !campaign.holds.is_empty();
    let mut wrong = |what: &str| {
        let details = json!({
            "campaign": campaign,
            "history": latest(changes(evidence, &campaign.id)),
            "log": latest(evidence.log.iter().filter(|entry| text(entry, "campaignId") == campaign.id)),
        });
        found.push(Violation::new(Kind::Wrong, what, details));
    };
    if is_held && campaign.state == "ACTIVE" {
        wrong("a campaign dials while a hold is left");
    }
    if !is_held && campaign.state == "PAUSED" && !is_left_paused(&evidence.changes, &campaign.id) {
        wrong("a campaign is paused and no hold is left");
    }
    if campaign.is_pending {
        wrong("a campaign is pending though nothing fails any more");
    }
    let lasting = evidence.holds.iter().filter(|hold| hold.campaign == campaign.id && hold.ends_at > campaign.at);
    for hold in lasting.filter(|hold| hold.compliance) {
        if !campaign.holds.iter().any(|left| left["pauseReason"] == hold.reason.as_str()) {
            let details = json!({ "hold": hold, "campaign": campaign });
            found.push(Violation::new(Kind::Lost, "an acknowledged compliance hold is gone before its end", details));
        }
    }
    found
}

/// The last of them, for people to look at.
fn latest<T: Serialize>(items: impl Iterator<Item = T>) -> Value {
    let items: Vec<T> = items.collect();
    json!(items[items.len().saturating_sub(SHOWN)..])
}

/// An acknowledged resume starts the campaign, at once or when the last hold is gone.
fn judge_resume(resume: &SentResume, evidence: &Evidence) -> Option<Violation> {
    let acked_at = resume.acked_at?;
    let is_held_otherwise =
        |reason: &String| holds::is_held_otherwise(&evidence.log, &resume.campaign, reason, acked_at);
    if resume.reason.as_ref().is_some_and(is_held_otherwise) {
        return None;
    }
    let campaign = evidence.campaigns.iter().find(|campaign| campaign.id == resume.campaign)?;
    let dialed = active_spans(evidence, &resume.campaign).iter().any(|(_, to)| *to >= resume.sent_at);
    if dialed || !campaign.holds.is_empty() {
        return None;
    }
    let history: Vec<_> = changes(evidence, &resume.campaign).filter(|change| change.at >= resume.sent_at).collect();
    let details = json!({ "resume": resume, "campaign": campaign, "history": history });
    Some(Violation::new(Kind::Lost, "an acknowledged resume was never carried out", details))
}

/// What the service did in CXone, or CXone at the time that the service had named, is in the log where it lasted.
fn judge_log(campaign: &CampaignEnd, evidence: &Evidence, found: &mut Vec<Violation>) {
    for (change, until) in transitions(evidence, &campaign.id) {
        let is_in_time = change.sent_at.is_none_or(|sent_at| change.at.duration_since(sent_at) < IN_TIME);
        if change.by == By::Somebody || !is_in_time || until.duration_since(change.at) < NOTICED_WITHIN {
            continue;
        }
        let says_so = |entry: &&Value| {
            let at = instant(entry, "timestamp");
            text(entry, "campaignId") == campaign.id
                && is_of_change(entry)
                && text(entry, "newState") == change.state
                && at.is_some_and(|at| change.at - IN_TIME <= at && at <= until)
        };
        if !evidence.log.iter().any(|entry| says_so(&entry)) {
            let details = json!({ "change": change, "until": until });
            found.push(Violation::new(Kind::Lost, "the log does not have a change by the service", details));
        }
    }
}

fn is_of_change(entry: &Value) -> bool {
    matches!(text(entry, "action"), "campaign.paused" | "campaign.resumed")
}

/// Each change in the log was delivered, in the log's order.
fn judge_told(evidence: &Evidence, found: &mut Vec<Violation>) {
    let entries: Vec<&Value> = evidence.log.iter().filter(|entry| is_of_change(entry)).collect();
    let place: HashMap<&str, usize> =
        entries.iter().enumerate().map(|(place, entry)| (text(entry, "id"), place)).collect();
    let mut seen: HashSet<&str> = HashSet::new();
    let mut last: HashMap<&str, usize> = HashMap::new();
    for event in &evidence.webhooks {
        let Some(&at) = place.get(text(event, "auditId")) else {
            found.push(Violation::new(
                Kind::Wrong,
                "a webhook reports a change that the log does not have",
                event.clone(),
            ));
            continue;
        };
        // It may come more than once: its order is that of its first time.
        if !seen.insert(text(event, "auditId")) {
            continue;
        }
        let before = last.insert(text(event, "campaignId"), at);
        if before.is_some_and(|before| before > at) {
            found.push(Violation::new(Kind::Wrong, "a campaign's webhooks came out of order", event.clone()));
        }
    }
    for entry in entries.into_iter().filter(|entry| !seen.contains(text(entry, "id"))) {
        found.push(Violation::new(Kind::Lost, "a change of a campaign was never delivered", entry.clone()));
    }
}
