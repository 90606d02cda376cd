//! Holds, by the audit log, the clients and CXone's own history.

use std::collections::{BTreeMap, HashMap};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::callbacks::{instant, text};
use super::evidence::{AckedHold, By, Change, Evidence};
use super::history::{active_spans, ended_at};
use super::{Kind, Violation};

/// Between a clock that was read and what it decided.
const SLACK: SignedDuration = SignedDuration::from_millis(100);
/// A start that was on its way when a hold was placed may still arrive; it is taken back then.
const ON_ITS_WAY: SignedDuration = SignedDuration::from_secs(20);
/// Whoever starts a held campaign: it is paused again within this, also while things fail.
const DIALS_AT_MOST: SignedDuration = SignedDuration::from_secs(90);

/// A hold as the log knows it.
struct Held<'a> {
    placed: &'a Value,
    placed_at: Timestamp,
    ends_at: Option<Timestamp>,
    lifted: Option<&'a Value>,
}

impl Held<'_> {
    fn campaign(&self) -> &str {
        text(self.placed, "campaignId")
    }

    /// When it stopped to be in force, or will.
    fn until(&self) -> Timestamp {
        let lifted_at = self.lifted.and_then(|entry| instant(entry, "timestamp"));
        [lifted_at, self.ends_at].into_iter().flatten().min().unwrap_or(Timestamp::MAX)
    }

    fn details(&self) -> Value {
        json!({ "placed": self.placed, "lifted": self.lifted, "endsAt": self.ends_at })
    }
}

pub fn judge(evidence: &Evidence) -> Vec<Violation> {
    let mut found = Vec::new();
    let holds = holds(&evidence.log, &mut found);
    for hold in holds.values() {
        judge_starts(hold, evidence, &mut found);
        judge_dialing(hold, evidence, &mut found);
        found.extend(judge_lift(hold, evidence));
        found.extend(judge_end(hold, evidence));
    }
    found.extend(evidence.holds.iter().filter_map(|acked| judge_acked(acked, &evidence.log)));
    judge_repeats(evidence, &mut found);
    found
}

/// The holds of the log by id. Each is placed once, and may be given another end.
fn holds<'a>(log: &'a [Value], found: &mut Vec<Violation>) -> BTreeMap<&'a str, Held<'a>> {
    let mut holds: BTreeMap<&str, Held> = BTreeMap::new();
    for entry in log.iter().filter(|entry| text(entry, "action").starts_with("hold.")) {
        let Some(at) = instant(entry, "timestamp") else { continue };
        let (id, ends_at) = (text(&entry["detail"], "holdId"), instant(&entry["detail"], "endsAt"));
        match (text(entry, "action"), holds.get_mut(id)) {
            ("hold.placed", None) => {
                holds.insert(id, Held { placed: entry, placed_at: at, ends_at, lifted: None });
            }
            ("hold.placed", Some(hold)) => {
                let details = json!({ "hold": hold.details(), "again": entry });
                found.push(Violation::new(Kind::Duplicated, "a hold was placed twice", details));
            }
            ("hold.lifted", Some(hold)) => hold.lifted = Some(entry),
            (_, Some(hold)) => hold.ends_at = ends_at.or(hold.ends_at),
            (_, None) => {}
        }
    }
    holds
}

/// The service itself asks for no start while a hold is in force.
fn judge_starts(hold: &Held, evidence: &Evidence, found: &mut Vec<Violation>) {
    let paused_for_it = |change: &&Change| {
        change.campaign == hold.campaign()
            && change.by == By::Service
            && change.state == "PAUSED"
            && change.sent_at.is_some_and(|at| at >= hold.placed_at)
    };
    let paused_at = evidence.changes.iter().find(paused_for_it).map(|change| change.at + SLACK);
    let from = paused_at.unwrap_or(hold.placed_at + ON_ITS_WAY).min(hold.placed_at + ON_ITS_WAY);
    let of_campaign = evidence.activations.iter().filter(|start| start.campaign == hold.campaign());
    for start in of_campaign.filter(|start| from < start.at && start.at + SLACK < hold.until()) {
        let details = json!({ "start": start, "hold": hold.details(), "pausedForIt": paused_at });
        found.push(Violation::new(Kind::Wrong, "the service started a campaign while a hold was in force", details));
    }
}

/// Whoever started it, a held campaign is paused again.
fn judge_dialing(hold: &Held, evidence: &Evidence, found: &mut Vec<Violation>) {
    let until = hold.until().min(ended_at(evidence, hold.campaign()));
    for (from, to) in active_spans(evidence, hold.campaign()) {
        let (from, to) = (from.max(hold.placed_at), to.min(until));
        if to.duration_since(from) > DIALS_AT_MOST {
            let details = json!({ "from": from, "to": to, "hold": hold.details() });
            found.push(Violation::new(Kind::Wrong, "a campaign dialed for more than 90 s under a hold", details));
        }
    }
}

/// Before its end a hold is lifted by a command to resume alone, and a compliance hold by nothing.
fn judge_lift(hold: &Held, evidence: &Evidence) -> Option<Violation> {
    let lifted = hold.lifted?;
    let lifted_at = instant(lifted, "timestamp")?;
    if hold.ends_at.is_some_and(|end| end <= lifted_at + SLACK) {
        return None;
    }
    let reason = text(&hold.placed["detail"], "pauseReason");
    let asked_for = evidence.resumes.iter().any(|resume| {
        resume.campaign == hold.campaign()
            && resume.sent_at <= lifted_at + SLACK
            && resume.sent_at >= hold.placed_at - ON_ITS_WAY
            && resume.reason.as_ref().is_none_or(|wanted| wanted == reason)
    });
    let is_compliance = hold.placed["complianceHold"] == true;
    if asked_for && !is_compliance && text(lifted, "triggeredBy") == "MANUAL_RESUME" {
        return None;
    }
    let what = if is_compliance {
        "a compliance hold was lifted before its end"
    } else {
        "a hold was lifted before its end and nobody resumed the campaign"
    };
    Some(Violation::new(Kind::Wrong, what, hold.details()))
}

/// The log and the API say the same of what is left.
fn judge_end(hold: &Held, evidence: &Evidence) -> Option<Violation> {
    let campaign = evidence.campaigns.iter().find(|campaign| campaign.id == hold.campaign())?;
    let id = text(&hold.placed["detail"], "holdId");
    let is_left = campaign.holds.iter().any(|left| text(left, "id") == id);
    let (kind, what) = match (hold.lifted, is_left) {
        (None, false) if hold.until() > campaign.at + SLACK => {
            (Kind::Lost, "a hold is gone and the log does not say that it was lifted")
        }
        (Some(_), true) => (Kind::Wrong, "a hold was lifted and is still in force"),
        _ => return None,
    };
    Some(Violation::new(kind, what, json!({ "hold": hold.details(), "campaign": campaign })))
}

/// Whether a campaign was held for another reason when a resume of one reason was acknowledged: the answer says so, and
/// the resume starts nothing.
pub fn is_held_otherwise(log: &[Value], campaign: &str, reason: &str, at: Timestamp) -> bool {
    let is_other = |hold: &Held| hold.campaign() == campaign && text(&hold.placed["detail"], "pauseReason") != reason;
    let is_in_force = |hold: &Held| hold.placed_at <= at + SLACK && at <= hold.until() + SLACK;
    holds(log, &mut Vec::new()).values().any(|hold| is_other(hold) && is_in_force(hold))
}

/// An acknowledged pause placed a hold, or gave one its end, or is the same pause as one that ends later.
fn judge_acked(acked: &AckedHold, log: &[Value]) -> Option<Violation> {
    let is_kept = log.iter().any(|entry| {
        let detail = &entry["detail"];
        text(entry, "action").starts_with("hold.")
            && text(entry, "campaignId") == acked.campaign
            && text(detail, "pauseReason") == acked.reason
            && instant(detail, "endsAt").is_some_and(|end| end.as_millisecond() >= acked.ends_at.as_millisecond())
            && instant(entry, "timestamp").is_some_and(|at| at <= acked.acked_at + SLACK)
    });
    let what = "the log has no hold of an acknowledged pause";
    (!is_kept).then(|| Violation::new(Kind::Lost, what, json!(acked)))
}

/// A command that is sent again under its key places no second hold.
fn judge_repeats(evidence: &Evidence, found: &mut Vec<Violation>) {
    let mut placed: HashMap<&str, usize> = HashMap::new();
    let by_command =
        |entry: &&Value| text(entry, "action") == "hold.placed" && text(entry, "triggeredBy") == "MANUAL_PAUSE";
    for entry in evidence.log.iter().filter(by_command) {
        *placed.entry(text(entry, "campaignId")).or_default() += 1;
    }
    for (campaign, placed) in placed {
        let sent = evidence.pauses_sent.get(campaign).copied().unwrap_or(0);
        if placed > sent {
            let details = json!({ "campaign": campaign, "placed": placed, "pausesSent": sent });
            found.push(Violation::new(Kind::Duplicated, "more holds were placed than pauses were sent", details));
        }
    }
}
