//! Requests a callback, pauses a campaign and reads the audit log with the generated client.
//!
//! Usage: `ringback-client-example PHONE_NUMBER`, with `RINGBACK_URL` and `RINGBACK_KEY` set.

use std::env;

use anyhow::Context as _;
use ringback_client::Client;
use ringback_client::client::default::parameters::ListAuditQuery;
use ringback_client::types::{CarrierLimit, NewCallback, Pause, PauseReason, RegulatoryWindow};
use ringback_client::util::chrono::{TimeDelta, Utc};

/// Campaigns of the demo.
const CALLBACK_CAMPAIGN: &str = "a1b2c3d4-e5f6-7890-g1h2-i3j4k5l6m7n8";
const DIALED_CAMPAIGN: &str = "0192f0c4-1111-7000-8000-000000000001";

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let phone_number = env::args().nth(1).context("usage: ringback-client-example PHONE_NUMBER")?;
    let key = env::var("RINGBACK_KEY").context("RINGBACK_KEY")?;
    let client = Client::new(env::var("RINGBACK_URL").context("RINGBACK_URL")?)?
        .with_sensitive_header("Authorization", format!("Bearer {key}"))?;
    request_callback(&client, phone_number).await?;
    pause_campaign(&client).await?;
    read_audit_log(&client).await
}

async fn request_callback(client: &Client, phone_number: String) -> anyhow::Result<()> {
    let request = NewCallback {
        campaign_id: CALLBACK_CAMPAIGN.to_owned(),
        phone_number,
        requested_start: Utc::now() + TimeDelta::hours(1),
        requested_end: Utc::now() + TimeDelta::hours(2),
        language: "en-US".to_owned(),
        timezone: "America/New_York".to_owned().into(),
        ..NewCallback::default()
    };
    let callback = client.post_callback(request).await?;
    println!("callback  {} {}", callback.id, callback.status);
    Ok(())
}

async fn pause_campaign(client: &Client) -> anyhow::Result<()> {
    let request = Pause {
        pause_reason: PauseReason::AgentCapacity,
        scheduled_resume_time: (Utc::now() + TimeDelta::minutes(1)).into(),
        max_agents: 25.into(),
        carrier_limit: CarrierLimit { max_concurrent_calls: 100, max_agents: 30 }.into(),
        regulatory_window: RegulatoryWindow {
            start_time: "00:00".to_owned(),
            end_time: "23:59".to_owned(),
            timezone: "UTC".to_owned(),
        }
        .into(),
        ..Pause::default()
    };
    let outcome = client.pause_campaign(DIALED_CAMPAIGN, request).await?;
    println!("pause     {} {}, {} holds", outcome.campaign_id, outcome.status, outcome.holds.len());
    Ok(())
}

async fn read_audit_log(client: &Client) -> anyhow::Result<()> {
    let query =
        ListAuditQuery { campaign_id: Some(DIALED_CAMPAIGN.to_owned()), limit: Some(5), ..ListAuditQuery::default() };
    let page = client.list_audit(&query).await?;
    let newest = page.data.first().context("the log has no entry of the campaign")?;
    println!("audit     {} entries, the newest {} by {}", page.data.len(), newest.action, newest.actor.name);
    Ok(())
}
