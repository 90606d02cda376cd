//! The end of a run: everything is given time to settle, and is looked at.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use ringback::clock::Clock;
use serde_json::{Value, json};

use super::client::Client;
use super::cxone::Cxone;
use super::verdict::{CampaignEnd, Evidence, Kind, Violation};

const LOOK_EVERY: Duration = Duration::from_secs(3);
/// What CXone is told of a campaign is told within this, once nothing fails any more.
const CAMPAIGNS_WITHIN: Duration = Duration::from_secs(60);

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
        let divided = campaigns.iter().filter(|campaign| is_divided(campaign)).count();
        let waited = started_at.elapsed();
        let callbacks_are_done = open == 0 || waited > within;
        let campaigns_are_done = divided == 0 || waited > CAMPAIGNS_WITHIN.min(within);
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

fn is_divided(campaign: &CampaignEnd) -> bool {
    campaign.holds.is_empty() == (campaign.state == "PAUSED")
}

async fn look_at_campaigns(client: &Client, cxone: &Cxone, ids: &[&str]) -> anyhow::Result<Vec<CampaignEnd>> {
    let in_cxone = cxone.list("campaigns").await?;
    let mut campaigns = Vec::new();
    for &id in ids {
        let shown = client.read(&format!("/v1/campaigns/{id}")).await?;
        let state = in_cxone.iter().find(|campaign| campaign["id"] == id).map(|campaign| &campaign["state"]);
        campaigns.push(CampaignEnd {
            id: id.to_owned(),
            state: state.and_then(Value::as_str).unwrap_or_default().to_owned(),
            holds: shown["holds"].as_array().cloned().unwrap_or_default(),
            at: Clock::system().now(),
        });
    }
    Ok(campaigns)
}

/// All that the verdict is based on.
pub async fn collect(client: &Client, cxone: &Cxone, settled: Settled) -> anyhow::Result<Evidence> {
    let mut audited = BTreeMap::new();
    for action in ["callback.accepted", "callback.scheduled"] {
        let entries = client.read_all(&format!("/v1/audit?action={action}")).await?;
        let callbacks = entries.iter().filter_map(|entry| entry["callbackId"].as_str().map(str::to_owned));
        audited.insert(action.to_owned(), callbacks.collect());
    }
    let (intents, holds) = client.record.promises();
    Ok(Evidence {
        intents,
        holds,
        audited,
        callbacks: settled.callbacks,
        campaigns: settled.campaigns,
        contacts: cxone.list("contacts").await?,
        messages: cxone.list("messages").await?,
        activations: cxone.activations(),
    })
}

/// More requests in a minute than CXone allows.
pub async fn quota(cxone: &Cxone, quota: u32) -> anyhow::Result<Option<Violation>> {
    let counts = cxone.counts().await?;
    let is_over = counts["highestPerMinute"].as_u64() > Some(quota.into());
    let details = json!({ "quota": quota, "counts": counts });
    Ok(is_over
        .then(|| Violation::new(Kind::Wrong, "more requests were sent in a minute than the quota allows", details)))
}
