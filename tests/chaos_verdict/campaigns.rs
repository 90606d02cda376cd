//! What is found about campaigns.

use serde_json::{Value, json};

use super::verdict::{AckedHold, Activation, By, CampaignEnd, Change, Evidence, Kind, SentResume};
use super::{COMMANDED, assert_found, assert_good, at};

const HOLD: &str = "01a1fcff-0000-7000-8000-000000000001";
const PAUSED: &str = "01a1fcff-0000-7000-8000-00000000000a";
const RESUMED: &str = "01a1fcff-0000-7000-8000-00000000000b";

pub fn hold() -> AckedHold {
    AckedHold {
        campaign: COMMANDED.to_owned(),
        reason: "COMPLIANCE_HOLD".to_owned(),
        compliance: true,
        ends_at: at(100),
        acked_at: at(10),
        confirmed: true,
    }
}

pub fn campaign(state: &str, holds: &[&str], seconds: i64) -> CampaignEnd {
    let holds = holds.iter().map(|reason| json!({ "id": format!("left-{reason}"), "pauseReason": reason })).collect();
    CampaignEnd { id: COMMANDED.to_owned(), state: state.to_owned(), holds, is_pending: false, at: at(seconds) }
}

fn change(by: By, state: &str, seconds: i64) -> Change {
    let sent_at = (by == By::Service).then_some(at(seconds));
    Change { campaign: COMMANDED.to_owned(), at: at(seconds), sent_at, by, state: state.to_owned() }
}

/// Made, paused and started.
pub fn changes() -> Vec<Change> {
    vec![change(By::Somebody, "ACTIVE", 0), change(By::Service, "PAUSED", 9), change(By::Service, "ACTIVE", 100)]
}

fn of_hold(action: &str, trigger: &str, seconds: i64) -> Value {
    json!({
        "id": format!("{action}-{seconds}"), "timestamp": at(seconds), "action": action, "campaignId": COMMANDED,
        "complianceHold": true, "triggeredBy": trigger,
        "detail": { "holdId": HOLD, "pauseReason": "COMPLIANCE_HOLD", "endsAt": at(100) },
    })
}

fn of_change(id: &str, action: &str, state: &str, seconds: i64) -> Value {
    json!({
        "id": id, "timestamp": at(seconds), "action": action, "campaignId": COMMANDED, "newState": state, "detail": {},
    })
}

pub fn log() -> Vec<Value> {
    vec![
        of_hold("hold.placed", "MANUAL_PAUSE", 9),
        of_change(PAUSED, "campaign.paused", "PAUSED", 10),
        of_change(RESUMED, "campaign.resumed", "ACTIVE", 100),
        of_hold("hold.lifted", "SCHEDULED_RESUME", 100),
    ]
}

fn webhook(audit_id: &str) -> Value {
    json!({ "campaignId": COMMANDED, "auditId": audit_id })
}

/// One of them twice, as may happen.
pub fn webhooks() -> Vec<Value> {
    [PAUSED, RESUMED, PAUSED].map(webhook).into()
}

fn resume(reason: Option<&str>, seconds: i64) -> SentResume {
    let reason = reason.map(str::to_owned);
    SentResume { campaign: COMMANDED.to_owned(), reason, sent_at: at(seconds), acked_at: Some(at(seconds + 1)) }
}

fn started(seconds: i64) -> Vec<Activation> {
    vec![Activation { campaign: COMMANDED.to_owned(), at: at(seconds) }]
}

/// The run in which the hold is none of compliance, and was lifted by a resume after so long.
fn resumed(evidence: &mut Evidence, seconds: i64) {
    (evidence.holds[0].compliance, evidence.holds[0].reason) = (false, "SCHEDULED".to_owned());
    for entry in &mut evidence.log {
        (entry["complianceHold"], entry["detail"]["pauseReason"]) = (json!(false), json!("SCHEDULED"));
    }
    evidence.log[2] = of_change(RESUMED, "campaign.resumed", "ACTIVE", seconds);
    (evidence.log[3]["timestamp"], evidence.log[3]["triggeredBy"]) = (json!(at(seconds)), json!("MANUAL_RESUME"));
    evidence.changes[2] = change(By::Service, "ACTIVE", seconds);
    evidence.activations = started(seconds);
    evidence.resumes = vec![resume(Some("SCHEDULED"), seconds - 1)];
}

#[test]
fn a_compliance_hold_that_is_gone_before_its_end_is_lost() {
    assert_found(Kind::Lost, "compliance hold is gone", |evidence| {
        evidence.campaigns = vec![campaign("ACTIVE", &[], 50)];
        evidence.activations.clear();
    });
}

#[test]
fn a_campaign_that_is_not_as_its_holds_say_is_wrong() {
    assert_found(Kind::Wrong, "dials while a hold is left", |evidence| {
        evidence.campaigns = vec![campaign("ACTIVE", &["SCHEDULED"], 200)];
    });
    assert_found(Kind::Wrong, "paused and no hold is left", |evidence| {
        evidence.campaigns = vec![campaign("PAUSED", &[], 200)];
    });
    assert_found(Kind::Wrong, "pending though nothing fails", |evidence| evidence.campaigns[0].is_pending = true);
    assert_good(|evidence| {
        evidence.campaigns = vec![campaign("PAUSED", &["COMPLIANCE_HOLD"], 50)];
        evidence.activations.clear();
    });
    // Somebody else has paused or suspended it since.
    for state in ["PAUSED", "SUSPENDED"] {
        assert_good(|evidence| {
            evidence.changes.push(change(By::Somebody, state, 150));
            evidence.campaigns = vec![campaign(state, &[], 200)];
        });
    }
}

#[test]
fn a_campaign_that_is_started_under_a_hold_is_wrong() {
    let by_service = "the service started a campaign while a hold was in force";
    assert_found(Kind::Wrong, "started", |evidence| evidence.activations = started(50));
    assert_found(Kind::Wrong, by_service, |evidence| {
        evidence.holds[0].compliance = false;
        evidence.activations = started(50);
    });
    for seconds in [9, 100, 101] {
        assert_good(|evidence| evidence.activations = started(seconds));
    }
    // Kept, and not confirmed yet: a resume may still be on its way.
    let unconfirmed = |evidence: &mut Evidence, seconds| {
        evidence.holds[0].confirmed = false;
        evidence.changes[1].at = at(40);
        evidence.changes[1].sent_at = Some(at(40));
        evidence.activations = started(seconds);
        evidence.log[1]["timestamp"] = json!(at(40));
    };
    assert_good(|evidence| unconfirmed(evidence, 20));
    assert_found(Kind::Wrong, "started", |evidence| unconfirmed(evidence, 35));
}

#[test]
fn a_campaign_that_somebody_started_under_a_hold_is_paused_again() {
    let started_outside = |evidence: &mut Evidence, from, to| {
        evidence.changes.insert(2, change(By::Somebody, "ACTIVE", from));
        evidence.changes.insert(3, change(By::Service, "PAUSED", to));
    };
    assert_good(|evidence| started_outside(evidence, 10, 90));
    assert_found(Kind::Wrong, "dialed for more than 90 s", |evidence| {
        started_outside(evidence, 10, 110);
        for entry in &mut evidence.log {
            entry["detail"]["endsAt"] = json!(at(120));
        }
        evidence.holds[0].ends_at = at(120);
        (evidence.log[2]["timestamp"], evidence.log[3]["timestamp"]) = (json!(at(120)), json!(at(120)));
        evidence.changes[4] = change(By::Service, "ACTIVE", 120);
        evidence.activations = started(120);
    });
}

#[test]
fn a_hold_that_nobody_lifted_is_lost_or_wrong() {
    assert_good(|evidence| resumed(evidence, 50));
    assert_good(|evidence| {
        resumed(evidence, 50);
        (evidence.resumes[0].reason, evidence.resumes[0].acked_at) = (None, None);
    });
    for other in [None, Some("CARRIER_THROTTLE")] {
        assert_found(Kind::Wrong, "nobody resumed the campaign", |evidence| {
            resumed(evidence, 50);
            evidence.resumes = other.map(|reason| resume(Some(reason), 49)).into_iter().collect();
        });
    }
    assert_found(Kind::Wrong, "nobody resumed the campaign", |evidence| {
        resumed(evidence, 50);
        evidence.log[3]["triggeredBy"] = json!("SCHEDULED_RESUME");
    });
    assert_found(Kind::Wrong, "compliance hold was lifted before its end", |evidence| {
        resumed(evidence, 50);
        evidence.log[0]["complianceHold"] = json!(true);
    });
    assert_found(Kind::Lost, "the log does not say that it was lifted", |evidence| {
        evidence.log.pop();
        evidence.campaigns = vec![campaign("PAUSED", &["COMPLIANCE_HOLD"], 50)];
        evidence.activations.clear();
    });
    assert_found(Kind::Wrong, "lifted and is still in force", |evidence| {
        evidence.campaigns = vec![campaign("PAUSED", &[], 200)];
        evidence.campaigns[0].holds = vec![json!({ "id": HOLD })];
    });
    assert_found(Kind::Lost, "no hold of an acknowledged pause", |evidence| {
        evidence.holds[0].reason = "AGENT_CAPACITY".to_owned();
    });
    // The same pause again gave the hold another end.
    assert_good(|evidence| {
        evidence.log[0]["detail"]["endsAt"] = json!(at(60));
        evidence.holds[0].acked_at = at(21);
        evidence.log.insert(1, of_hold("hold.refreshed", "MANUAL_PAUSE", 20));
    });
}

#[test]
fn a_command_that_placed_two_holds_is_duplicated() {
    assert_found(Kind::Duplicated, "more holds were placed than pauses were sent", |evidence| {
        let mut second = of_hold("hold.placed", "MANUAL_PAUSE", 120);
        second["detail"]["holdId"] = json!("another");
        let mut lifted = of_hold("hold.lifted", "SCHEDULED_RESUME", 120);
        lifted["detail"]["holdId"] = json!("another");
        evidence.log.extend([second, lifted]);
    });
    assert_found(Kind::Duplicated, "a hold was placed twice", |evidence| {
        evidence.log.push(of_hold("hold.placed", "MANUAL_PAUSE", 120));
        evidence.pauses_sent.insert(COMMANDED.to_owned(), 2);
    });
}

#[test]
fn a_resume_that_was_never_carried_out_is_lost() {
    let left_paused = |evidence: &mut Evidence| {
        evidence.changes.push(change(By::Somebody, "PAUSED", 150));
        evidence.campaigns = vec![campaign("PAUSED", &[], 200)];
        evidence.resumes = vec![resume(None, 160)];
    };
    assert_found(Kind::Lost, "resume was never carried out", left_paused);
    assert_good(|evidence| {
        left_paused(evidence);
        evidence.resumes[0].acked_at = None;
    });
    assert_good(|evidence| {
        left_paused(evidence);
        evidence.campaigns = vec![campaign("PAUSED", &["SCHEDULED"], 200)];
    });
    let left_paused_under_a_hold = |evidence: &mut Evidence, reason| {
        evidence.changes.pop();
        evidence.changes.push(change(By::Somebody, "PAUSED", 50));
        evidence.activations.clear();
        evidence.log.remove(2);
        evidence.webhooks.remove(1);
        evidence.campaigns = vec![campaign("PAUSED", &[], 200)];
        evidence.resumes = vec![resume(Some(reason), 60)];
    };
    // The answer said that another hold is left.
    assert_good(|evidence| left_paused_under_a_hold(evidence, "SCHEDULED"));
    assert_found(Kind::Lost, "resume was never carried out", |evidence| {
        left_paused_under_a_hold(evidence, "COMPLIANCE_HOLD");
    });
    assert_good(|evidence| {
        left_paused(evidence);
        evidence.resumes[0].sent_at = at(120);
    });
}

#[test]
fn a_change_that_lasts_and_is_not_in_the_log_is_lost() {
    assert_found(Kind::Lost, "the log does not have a change", |evidence| {
        evidence.log.remove(1);
        evidence.webhooks = vec![webhook(RESUMED)];
    });
    assert_found(Kind::Lost, "the log does not have a change", |evidence| {
        evidence.changes[2] = change(By::Schedule, "ACTIVE", 100);
        evidence.log.remove(2);
        evidence.webhooks = vec![webhook(PAUSED)];
        evidence.activations.clear();
    });
    // Too short to be seen, where something else came first.
    assert_good(|evidence| {
        evidence.log.remove(1);
        evidence.webhooks = vec![webhook(RESUMED)];
        evidence.changes.insert(2, change(By::Somebody, "ACTIVE", 30));
    });
}

#[test]
fn each_change_is_delivered_in_order() {
    assert_found(Kind::Lost, "was never delivered", |evidence| evidence.webhooks.truncate(1));
    assert_found(Kind::Wrong, "out of order", |evidence| evidence.webhooks = vec![webhook(RESUMED), webhook(PAUSED)]);
    assert_found(Kind::Wrong, "the log does not have", |evidence| evidence.webhooks.push(webhook("another")));
}
