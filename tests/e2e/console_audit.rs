//! The console's pages for the audit log.

use std::process::Output;

use serde_json::json;
use tokio::process::Command;

use crate::support::{
    BINARY, Browser, CAMPAIGN, DIALING, Page, World, create_key, create_key_with, eventually, pause, payload,
    payload_from,
};

const SETTINGS: [(&str, &str); 2] = [
    ("AUDIT_SIGNING_KEY", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="),
    ("AUDIT_LOG_ORIGIN", "audit.example.com/ringback"),
];
const PUBLIC_KEY: &str = "A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=";

async fn browser(world: &World) -> Browser {
    Browser::signed_in(&world.service.base_url, &world.key).await
}

/// The actions that the list shows, newest first.
fn actions(page: &Page) -> Vec<String> {
    let rows = page.html.split("<th scope=\"row\">").skip(1);
    let link = |row: &str| row.split_once("\">").unwrap().1.split('<').next().unwrap().to_owned();
    rows.map(link).collect()
}

/// The id of the newest entry with this action.
async fn newest(world: &World, action: &str) -> String {
    let entries = world.get(&format!("/v1/audit?action={action}&limit=1")).await;
    entries["data"][0]["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn the_log_is_searched_by_action_actor_outcome_callback_campaign_and_time() {
    let world = World::of_webhooks(&[]).await;
    let key = create_key(&world.database, &["audit:read"]).await;
    let (_, callback) = world.ask(&payload()).await;
    let id = callback["id"].as_str().unwrap();
    world.settled(id).await;
    world.command("pause", &pause()).await;
    let browser = Browser::signed_in(&world.service.base_url, &key).await;

    let of_callback = browser.get(&format!("/console/audit?callbackId={id}&action=&from=&zone=Europe/Berlin")).await;
    assert!(of_callback.status == 200 && of_callback.has("data-live=\"audit\""), "{of_callback:?}");
    assert_eq!(actions(&of_callback), ["callback.confirmed", "callback.scheduled", "callback.accepted"]);
    for (search, expected) in [
        (format!("campaignId={DIALING}&action=campaign.paused"), &["campaign.paused"][..]),
        (format!("callbackId={id}&action=callback.accepted&actor=test"), &["callback.accepted"]),
        (format!("callbackId={id}&actor=nobody"), &[]),
        (format!("callbackId={id}&outcome=failed"), &[]),
        (format!("callbackId={id}&action=callback.accepted&from=2020-01-01T00:00"), &["callback.accepted"]),
        (format!("callbackId={id}&to=2020-01-01T00:00&zone=America/New_York"), &[]),
        (format!("callbackId={id}&from=2099-01-01T00:00Z"), &[]),
    ] {
        for path in ["/console/audit", "/console/fragments/audit"] {
            let page = browser.get(&format!("{path}?{search}")).await;
            assert_eq!(page.status, 200, "{search}: {page:?}");
            assert_eq!(actions(&page), expected, "{search}");
            assert_eq!(page.has("No entry matches"), expected.is_empty(), "{search}");
        }
    }
    let shown = browser.get("/console/audit?to=2020-01-01T00:00&zone=America/New_York").await;
    assert!(shown.has("datetime=\"2020-01-01T05:00:00Z\"") && shown.has("Times in America/New_York"), "{shown:?}");
    world.end().await;
}

#[tokio::test]
async fn a_filter_that_is_wrong_is_shown_beside_its_field() {
    let world = World::start().await;
    let browser = browser(&world).await;
    let page = browser.get("/console/audit?callbackId=%22%3E%3Cscript%3E&from=yesterday&action=%3Cb%3E").await;
    assert!(page.status == 422 && page.has("id=\"callbackId-fault\"") && page.has("id=\"from-fault\""), "{page:?}");
    assert!(page.has("value=\"&#34;&#62;&#60;script&#62;\"") && page.has("&#60;b&#62;"), "{page:?}");
    assert!(!page.has("<script>") && !page.has("<b>"), "{page:?}");
    world.end().await;
}

#[tokio::test]
async fn older_entries_are_a_link_away_and_csv_has_all_that_match() {
    let world = World::start().await;
    world.batch(&(0..60).map(payload_from).collect::<Vec<_>>()).await;
    let browser = browser(&world).await;
    let first = browser.get("/console/audit?action=callback.accepted").await;
    assert_eq!(actions(&first).len(), 50, "{first:?}");
    let (before, _) = first.html.split_once("\">Older entries").unwrap();
    let older = before.rsplit('"').next().unwrap().replace("&#38;", "&");
    let second = browser.get(&older).await;
    assert_eq!((actions(&second).len(), second.has("data-live=")), (10, false), "{second:?}");
    assert!(second.has("Newest entries") && !second.has("Older entries"), "{second:?}");

    assert!(first.has("href=\"/console/audit.csv?action=callback.accepted\""), "{first:?}");
    let csv = browser.get("/console/audit.csv?action=callback.accepted&zone=UTC").await;
    assert_eq!((csv.status, csv.header("content-disposition")), (200, Some("attachment; filename=\"audit.csv\"")));
    assert!(csv.header("content-type").unwrap().starts_with("text/csv") && csv.has("id,timestamp,"), "{csv:?}");
    assert_eq!(csv.html.matches(",callback.accepted,").count(), 60);
    assert_eq!(browser.get("/console/audit.csv?outcome=lost").await.status, 422);
    world.end().await;
}

#[tokio::test]
async fn an_entry_is_shown_whole_and_what_others_wrote_as_text() {
    let world = World::of_webhooks(&[]).await;
    world.command("pause", &pause()).await;
    world.ask(&payload()).await;
    let browser = browser(&world).await;
    let id = newest(&world, "campaign.paused").await;
    let page = browser.get(&format!("/console/audit/{id}")).await;
    let entry = world.get(&format!("/v1/audit/{id}")).await;
    for member in ["id", "campaignId", "previousState", "newState", "triggeredBy", "requestId"] {
        assert!(page.has(&format!(">{}<", entry[member].as_str().unwrap())), "{member}: {page:?}");
    }
    assert!(page.status == 200 && page.has("<h1>campaign.paused</h1>") && page.has(">Succeeded<"), "{page:?}");
    assert_eq!(entry, world.get("/v1/audit?action=campaign.paused&limit=1").await["data"][0]);

    let accepted = browser.get(&format!("/console/audit/{}", newest(&world, "callback.accepted").await)).await;
    assert!(accepted.has("0198") && !accepted.has("2025550198"), "{accepted:?}");

    let members = "actor_name, actor_id, campaign_id, previous_state, new_state, triggered_by, request_id";
    let hostile = ["'\"><script>alert(1)</script>'"; 7].join(", ");
    let change = format!(
        "update audit_entries set ({members}) = ({hostile}),
        detail = json_build_object('<script>', '</dd><script>') where action = 'campaign.paused'"
    );
    world.database.run(&format!("alter table audit_entries disable trigger all; {change}")).await;
    let page = browser.get(&format!("/console/audit/{id}")).await;
    assert!(page.status == 200 && !page.has("<script>"), "{page:?}");
    // The two members of the detail, those of the entry, and their links and labels.
    assert!(page.html.matches("&#60;script&#62;").count() >= 9, "{page:?}");
    let list = browser.get("/console/audit").await;
    assert!(list.has("&#60;script&#62;") && !list.has("<script>"), "{list:?}");
    assert_eq!(browser.get("/console/audit/0192f0c4-1111-7000-8000-00000000ffff").await.status, 404);
    assert_eq!(browser.get("/console/audit/none").await.status, 404);
    world.end().await;
}

#[tokio::test]
async fn the_log_is_verified_and_its_newest_checkpoint_shown() {
    let world = World::with(&SETTINGS).await;
    world.ask(&payload()).await;
    let entries = world.number("select count(*) from audit_entries").await;
    eventually("a log in which everything is sealed", async || {
        let sealed = world.number("select size from audit_log_head").await;
        if sealed >= entries { Ok(()) } else { Err(format!("{sealed} of {entries}")) }
    })
    .await;
    let browser = browser(&world).await;
    assert!(browser.get("/console/audit").await.has("The newest checkpoint covers"));
    let page = browser.get("/console/audit/verification").await;
    assert!(page.has("<dd>audit.example.com/ringback</dd>") && !page.has("The log is whole"), "{page:?}");
    let page = browser.post("/console/audit/verification", &[]).await;
    assert!(page.status == 200 && page.has("The log is whole"), "{page:?}");
    assert!(page.has("— audit.example.com/ringback "), "{page:?}");

    let id = newest(&world, "audit.keys_changed").await;
    let proof = browser.get(&format!("/console/audit/{id}/proof.json")).await;
    assert_eq!(proof.status, 200, "{proof:?}");
    let checked = check_proof(&proof.html).await;
    assert!(checked.status.success(), "{checked:?}");

    let change = "update audit_entries set actor_name = 'somebody else' where action = 'callback.accepted'";
    world.database.run(&format!("alter table audit_entries disable trigger all; {change}")).await;
    let page = browser.post("/console/audit/verification", &[]).await;
    let changed = newest(&world, "callback.accepted").await;
    assert!(page.has("The log is not whole.") && page.has(&format!("/console/audit/{changed}\"")), "{page:?}");
    world.end().await;
}

/// What `ringback audit verify` says of a proof.
async fn check_proof(proof: &str) -> Output {
    let file = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("console_audit_proof.json");
    std::fs::write(&file, proof).unwrap();
    let mut command = Command::new(BINARY);
    command.args(["audit", "verify", "--key", PUBLIC_KEY, "--proof"]).arg(file).env_clear();
    command.output().await.unwrap()
}

#[tokio::test]
async fn a_log_that_is_not_sealed_says_so() {
    let world = World::start().await;
    let browser = browser(&world).await;
    assert!(browser.get("/console/audit").await.has("Entries are not sealed."));
    let page = browser.post("/console/audit/verification", &[]).await;
    assert!(page.status == 200 && page.has("Nothing is sealed") && !page.has("The log is whole"), "{page:?}");
    world.end().await;
}

#[tokio::test]
async fn a_key_of_campaigns_sees_only_their_entries_and_leaves_no_refusal() {
    let world = World::of_webhooks(&[]).await;
    world.command("pause", &pause()).await;
    let (_, callback) = world.ask(&payload()).await;
    world.settled(callback["id"].as_str().unwrap()).await;
    let output = Command::new(BINARY)
        .args(["keys", "create", "--name", "one", "--scope", "audit:read", "--campaign", CAMPAIGN])
        .env("DATABASE_URL", &world.database.url)
        .output()
        .await
        .unwrap();
    let key = String::from_utf8(output.stdout).unwrap();
    let browser = Browser::signed_in(&world.service.base_url, key.trim_end()).await;

    let page = browser.get("/console/audit").await;
    assert_eq!(actions(&page), ["callback.confirmed", "callback.scheduled", "callback.accepted"], "{page:?}");
    assert!(!page.has("/console/audit/verification"), "{page:?}");
    let (of_other, own) = (newest(&world, "campaign.paused").await, newest(&world, "callback.accepted").await);
    assert_eq!(browser.get(&format!("/console/audit/{of_other}")).await.status, 404);
    let of_nobody = newest(&world, "console.signed_in").await;
    assert_eq!(browser.get(&format!("/console/audit/{of_nobody}")).await.status, 404);
    let page = browser.get(&format!("/console/audit/{own}")).await;
    assert!(page.status == 200 && !page.has("proof.json"), "{page:?}");
    assert_eq!(world.get("/v1/audit?action=request.refused").await["data"], json!([]));
    world.end().await;
}

#[tokio::test]
async fn without_the_scope_the_log_is_not_shown() {
    let world = World::start().await;
    let key = create_key_with(BINARY.as_ref(), &world.database.url, &["callbacks:read"]).await;
    let browser = Browser::signed_in(&world.service.base_url, &key).await;
    let id = newest(&world, "key.created").await;
    for path in [
        "/console/audit",
        "/console/audit.csv",
        "/console/fragments/audit",
        "/console/audit/verification",
        &format!("/console/audit/{id}"),
        &format!("/console/audit/{id}/proof.json"),
    ] {
        let page = browser.get(path).await;
        assert!(page.status == 403 && page.has("audit:read") && !page.has("key.created"), "{path}: {page:?}");
    }
    assert_eq!(browser.post("/console/audit/verification", &[]).await.status, 403);
    world.end().await;
}
