//! Many held campaigns are checked in turn, within the share of the quota that checks have.

use std::collections::HashSet;

use futures::{StreamExt as _, stream};
use serde_json::json;

use crate::support::{DIALING, Service, World, create_key, eventually, pause, payload_from, text};

const HELD: usize = 1_000;
/// What a replica works on at once: so far the order of what CXone receives may differ from the order of the checks.
const AT_ONCE: usize = 32;
const QUOTA: (&str, &str) = ("CXONE_REQUESTS_PER_MINUTE", "100");
const SCOPES: [&str; 4] = ["callbacks:write", "callbacks:read", "campaigns:write", "campaigns:read"];
const OTHER: &str = "0192f0c4-1111-7000-8000-000000000002";

fn held(n: usize) -> String {
    format!("held-{n:04}")
}

/// As if the dialing campaign, which is paused, were a thousand more, each to be checked a second after the one before.
async fn seed(world: &World) {
    let paused = json!({"state": "PAUSED", "pauseReason": "CARRIER_THROTTLE", "maxAgents": 25});
    let in_cxone = async |n| world.cxone.change_campaign(&held(n), paused.clone()).await;
    stream::iter((0..HELD).map(in_cxone)).buffer_unordered(8).collect::<Vec<()>>().await;
    let named = "'held-' || lpad(n::text, 4, '0')";
    let last = HELD - 1;
    world
        .sql(&format!(
            "insert into campaigns (campaign_id, state, state_seen_at, last_sent, check_at, revision, created_at, updated_at)
             select {named}, state, state_seen_at, last_sent,
                 clock_timestamp() - interval '1 hour' + n * interval '1 second', revision, created_at, updated_at
             from campaigns, generate_series(0, {last}) as n where campaign_id = '{DIALING}';
             insert into campaign_holds
             select (jsonb_populate_record(h, jsonb_build_object('id', gen_random_uuid(), 'campaign_id', {named}))).*
             from campaign_holds as h, generate_series(0, {last}) as n where campaign_id = '{DIALING}'"
        ))
        .await;
}

/// The held campaigns that CXone was asked about, in order.
async fn checked(world: &World) -> Vec<String> {
    let reads = world.cxone.received("campaignRead").await;
    let ids = reads.iter().filter_map(|read| read["path"].as_str()?.rsplit('/').next());
    ids.filter(|id| id.starts_with("held-")).map(str::to_owned).collect()
}

/// No held campaign looks as if there were anything to do, or anything wrong.
async fn assert_all_quiet(world: &World) {
    let mut cursor = String::new();
    let mut seen = 0;
    loop {
        let page = world.get(&format!("/v1/campaigns?limit=200{cursor}")).await;
        for campaign in page["data"].as_array().unwrap().iter().filter(|campaign| campaign["campaignId"] != OTHER) {
            let quiet = (&campaign["pending"], &campaign["state"]);
            assert_eq!(quiet, (&json!(false), &json!("PAUSED")), "{campaign}");
            // On a busy machine a check may fail because Postgres is late. It is repeated in its turn.
            let failure = campaign["failure"]["detail"].as_str();
            assert!(failure.is_none_or(|detail| detail.ends_with("the shared budget cannot be read")), "{campaign}");
            seen += 1;
        }
        match page["nextCursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(seen, HELD + 1);
}

#[tokio::test]
async fn a_thousand_held_campaigns_are_checked_in_turn_without_delaying_commands() {
    let often = ("CAMPAIGN_CHECK_MS", "1000");
    let mut world = World::with(&[QUOTA]).await;
    world.key = create_key(&world.database, &SCOPES).await;
    world.cxone.change_campaign(OTHER, json!({"state": "ACTIVE"})).await;
    let (status, _) = world.command("pause", &pause()).await;
    assert_eq!(status, 200);
    world.service.signal("KILL").await;
    seed(&world).await;
    world.service = Service::start(&world.database, &world.cxone, &[QUOTA, often]).await;

    // The share of a minute is used up …
    eventually("a share that is used up", async || match checked(&world).await.len() {
        checks if checks >= 9 => Ok(()),
        checks => Err(format!("{checks} checks")),
    })
    .await;
    let path = format!("/v1/campaigns/{OTHER}/pause");
    let (paused, answer) = world.command_to(&world.service.base_url, &path, &pause()).await;
    let callback = world.accept(&payload_from(0)).await;
    let scheduled = world.settled(&callback).await;
    assert_all_quiet(&world).await;
    let of_share = checked(&world).await;
    // … and all have their turn: many at once, where the quota allows it.
    let plenty = Service::start(&world.database, &world.cxone, &[("CXONE_REQUESTS_PER_MINUTE", "60000"), often]).await;
    std::mem::replace(&mut world.service, plenty).kill().await;
    let all = eventually("all to be checked", async || {
        let all = checked(&world).await;
        let distinct = all.iter().collect::<HashSet<_>>().len();
        if distinct == HELD { Ok(all) } else { Err(format!("{distinct} of {} checks", all.len())) }
    })
    .await;

    assert_eq!((paused, text(&answer, "status")), (200, "applied".to_owned()), "{answer}");
    assert_eq!(scheduled["status"], "scheduled", "{scheduled}");
    let first: HashSet<_> = of_share.iter().cloned().collect();
    assert!((9..=10).contains(&of_share.len()), "{of_share:?}");
    let longest: HashSet<_> = (0..of_share.len() + AT_ONCE).map(held).collect();
    assert_eq!(first.len(), of_share.len(), "each once: {of_share:?}");
    assert!(first.is_subset(&longest), "those that wait longest come first: {of_share:?}");
    let turn = &all[..HELD - AT_ONCE];
    assert_eq!(turn.iter().collect::<HashSet<_>>().len(), turn.len(), "one had two turns before all had one");
    assert_all_quiet(&world).await;
    assert_eq!(world.cxone.counts().await["routes"]["campaignUpdate"]["total"], 2);
    world.end().await;
}
