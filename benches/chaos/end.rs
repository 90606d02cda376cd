//! The end of a run: everything is given time to settle, and is looked at.

use std::collections::{BTreeMap, HashSet};
use std::time::{Duration, Instant};

use ringback::clock::Clock;
use serde_json::{Value, json};

use super::client::Client;
use super::cxone::{Cxone, LATE_AT_MOST};
use super::receiver::Receiver;
use super::verdict::history::is_left_paused;
use super::verdict::{CampaignEnd, Change, Evidence, Kind, Violation};

const LOOK_EVERY: Duration = Duration::from_secs(3);
/// Changes of campaigns reach CXone within this time after the last fault.
const CAMPAIGNS_WITHIN: Duration = Duration::from_mins(1);
/// Their webhooks arrive within this time: one that is refused is sent again after five seconds, and one whose replica was killed
/// after its lease.
const WEBHOOKS_WITHIN: Duration = Duration::from_mins(2);

/// What had settled, or had not when the time was over.
pub struct Settled {
    callbacks: Vec<Value>,
    campaigns: Vec<CampaignEnd>,
}

/// Waits until every callback has its final state and every campaign is as its holds say, at most so long.
pub async fn settle(client: &Client, cxone: &Cxone, campaigns: &[&str], within: Duration) -> anyhow::Result<Settled> {
    let started_at = Instant::now();
    let mut said = (0, 0);
    loop {
        let callbacks = client.read_all("/v1/callbacks").await?;
        let campaigns = look_at_campaigns(client, cxone, campaigns).await?;
        let open = callbacks.iter().filter(|callback| !callback["nextAttemptAt"].is_null()).count();
        let changes = cxone.changes().await?;
        let divided = campaigns.iter().filter(|campaign| is_divided(campaign, &changes)).count();
        let waited = started_at.elapsed();
        let callbacks_are_done = open == 0 || waited > within;
        let is_quiet = divided == 0 && waited > LATE_AT_MOST;
        let campaigns_are_done = is_quiet || waited > CAMPAIGNS_WITHIN.min(within);
        if callbacks_are_done && campaigns_are_done {
            return Ok(Settled { callbacks, campaigns });
        }
        if said != (open, divided) {
            said = (open, divided);
            println!("{:>5} s  settling: {open} callbacks and {divided} campaigns are not done", waited.as_secs());
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn is_divided(campaign: &CampaignEnd, changes: &[Change]) -> bool {
    let is_as_held = match campaign.state.as_str() {
        "ACTIVE" => campaign.holds.is_empty(),
        "PAUSED" => !campaign.holds.is_empty() || is_left_paused(changes, &campaign.id),
        _ => true,
    };
    campaign.is_pending || !is_as_held
}

async fn look_at_campaigns(client: &Client, cxone: &Cxone, ids: &[&str]) -> anyhow::Result<Vec<CampaignEnd>> {
    let in_cxone = cxone.list("campaigns").await;
    let mut campaigns = Vec::new();
    for &id in ids {
        let shown = client.read(&format!("/v1/campaigns/{id}")).await?;
        let state = in_cxone.iter().find(|campaign| campaign["id"] == id).map(|campaign| &campaign["state"]);
        campaigns.push(CampaignEnd {
            id: id.to_owned(),
            state: state.and_then(Value::as_str).unwrap_or_default().to_owned(),
            is_pending: shown["pending"] == true,
            holds: shown["holds"].as_array().cloned().unwrap_or_default(),
            at: Clock::system().now(),
        });
    }
    Ok(campaigns)
}

/// All that the verdict is based on.
pub async fn collect(
    client: &Client,
    cxone: &Cxone,
    receiver: &Receiver,
    settled: Settled,
) -> anyhow::Result<Evidence> {
    let mut audited = BTreeMap::new();
    for action in ["callback.accepted", "callback.scheduled"] {
        let entries = client.read_all(&format!("/v1/audit?action={action}")).await?;
        let callbacks = entries.iter().filter_map(|entry| entry["callbackId"].as_str().map(str::to_owned));
        audited.insert(action.to_owned(), callbacks.collect());
    }
    let changes = cxone.changes().await?;
    let mut log = Vec::new();
    for campaign in &settled.campaigns {
        let newest_first = client.read_all(&format!("/v1/audit?campaignId={}", campaign.id)).await?;
        log.extend(newest_first.into_iter().rev());
    }
    let webhooks = webhooks(&log, receiver).await;
    let (contacts, messages) = (cxone.contacts().await, cxone.messages().await);
    let kept = client.record.kept();
    Ok(Evidence {
        intents: kept.intents.clone(),
        holds: kept.holds.clone(),
        resumes: kept.resumes.clone(),
        pauses_sent: kept.pauses_sent.clone(),
        audited,
        callbacks: settled.callbacks,
        campaigns: settled.campaigns,
        contacts,
        messages,
        activations: cxone.activations(),
        changes,
        log,
        webhooks,
    })
}

/// The webhooks of campaigns, once all of the log's changes have come, or the time for it is over.
async fn webhooks(log: &[Value], receiver: &Receiver) -> Vec<Value> {
    let started_at = Instant::now();
    let is_change = |entry: &&Value| matches!(entry["action"].as_str(), Some("campaign.paused" | "campaign.resumed"));
    loop {
        let webhooks = receiver.of_campaigns();
        let ids: HashSet<&str> = webhooks.iter().filter_map(|event| event["auditId"].as_str()).collect();
        let all_came =
            log.iter().filter(is_change).all(|entry| entry["id"].as_str().is_some_and(|id| ids.contains(id)));
        if all_came || started_at.elapsed() > WEBHOOKS_WITHIN {
            return webhooks;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// More requests in a minute than CXone allows.
pub async fn quota(cxone: &Cxone, quota: u32) -> Option<Violation> {
    let counts = cxone.counts().await;
    let is_over = counts["highestPerMinute"].as_u64() > Some(quota.into());
    let details = json!({ "quota": quota, "counts": counts });
    is_over.then(|| Violation::new(Kind::Wrong, "more requests were sent in a minute than the quota allows", details))
}
