//! The transparency log over the audit entries, as an outsider and as an operator see it.

use std::path::{Path, PathBuf};
use std::process::Output;

use reqwest::Method;
use serde_json::{Value, json};
use signed_note::{Note, StandardVerifier, VerifierList};
use standardwebhooks::Webhook;
use tokio::process::Command;

use crate::support::{BINARY, Receiver, World, eventually, has_program, payload_from};

const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const PUBLIC_KEY: &str = "A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=";
/// The same, as signed notes have it: with the log's name and the id of both.
const VERIFIER_KEY: &str = "audit.example.com/ringback+2def30b3+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4";
const SETTINGS: [(&str, &str); 2] = [("AUDIT_SIGNING_KEY", KEY), ("AUDIT_LOG_ORIGIN", "audit.example.com/ringback")];

async fn text(world: &World, path: &str) -> String {
    let answer = world.request(Method::GET, path).send().await.unwrap();
    assert_eq!(answer.status(), 200, "GET {path}");
    answer.text().await.unwrap()
}

/// Once every entry so far is sealed. More are written meanwhile.
async fn sealed(world: &World) -> Value {
    // A verification reads the whole log: once is enough.
    let entries = world.number("select count(*) from audit_entries").await;
    eventually("a log in which everything is sealed", async || {
        let sealed = world.number("select size from audit_log_head").await;
        if sealed >= entries { Ok(()) } else { Err(format!("{sealed} of {entries} entries are sealed")) }
    })
    .await;
    world.get("/v1/audit/verification").await
}

async fn verify(world: &World, arguments: &[&str]) -> Output {
    let arguments: Vec<&str> = ["audit", "verify"].iter().chain(arguments).copied().collect();
    ringback(&arguments, &[("DATABASE_URL", &world.database.url)]).await
}

async fn ringback(arguments: &[&str], settings: &[(&str, &str)]) -> Output {
    Command::new(BINARY).args(arguments).env_clear().envs(settings.iter().copied()).output().await.unwrap()
}

/// A directory for the files of a test, under target/.
fn directory(name: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&directory).unwrap();
    directory
}

fn file(directory: &Path, name: &str, text: &str) -> String {
    let path = directory.join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[tokio::test]
async fn an_outsider_verifies_entries_and_that_the_log_only_grew() {
    let world = World::with(&SETTINGS).await;
    let directory = directory("audit_log_outsider");
    world.ask(&payload_from(1)).await;
    let first = sealed(&world).await;
    assert_eq!(first["valid"], true, "{first}");
    let older = file(&directory, "older.txt", first["checkpoint"].as_str().unwrap());
    world.batch(&(2..300).map(payload_from).collect::<Vec<_>>()).await;
    let second = sealed(&world).await;
    assert!(second["sealed"].as_i64().unwrap() > 300);

    let checkpoint = text(&world, "/v1/audit/log/checkpoint").await;
    let newer = file(&directory, "newer.txt", &checkpoint);
    let entry = world.get("/v1/audit?action=callback.accepted").await["data"][0]["id"].as_str().unwrap().to_owned();
    let proof = file(&directory, "proof.json", &text(&world, &format!("/v1/audit/{entry}/proof")).await);

    // Without the database.
    for key in [PUBLIC_KEY, VERIFIER_KEY] {
        let checked = ringback(&["audit", "verify", "--proof", &proof, "--key", key], &[]).await;
        assert!(checked.status.success(), "{checked:?}");
    }
    let checked = verify(&world, &["--checkpoint", &older, "--key", PUBLIC_KEY]).await;
    assert!(checked.status.success(), "{checked:?}");

    // With a program that shares no code with Ringback.
    if has_program("node").await {
        let log = format!("{}/v1/audit/log", world.service.base_url);
        for arguments in [&["proof", VERIFIER_KEY, &proof][..], &["consistency", VERIFIER_KEY, &older, &newer, &log]] {
            let mut node = Command::new("node");
            node.arg("docs/verify-audit-log.mjs").args(arguments).env("RINGBACK_KEY", &world.key);
            let checked = node.output().await.unwrap();
            assert_eq!(String::from_utf8_lossy(&checked.stdout), "valid\n", "{checked:?}");
        }
    }
    world.end().await;
}

#[tokio::test]
async fn verification_names_the_first_entry_that_is_not_as_it_was() {
    let world = World::with(&SETTINGS).await;
    world.ask(&payload_from(1)).await;
    let kept = sealed(&world).await;
    let directory = directory("audit_log_verification");
    let kept = file(&directory, "kept.txt", kept["checkpoint"].as_str().unwrap());
    world
        .sql(
            "alter table audit_entries disable trigger all; update audit_entries set detail = '{}' where seq = 2;
             alter table audit_entries enable always trigger audit_entries_append_only",
        )
        .await;

    let verification = world.get("/v1/audit/verification").await;
    assert_eq!(verification["valid"], false);
    assert_eq!(
        (&verification["firstBroken"]["seq"], &verification["firstBroken"]["reason"]),
        (&2.into(), &"changed".into())
    );
    let checked = verify(&world, &["--checkpoint", &kept]).await;
    assert_eq!(checked.status.code(), Some(1));
    let id = verification["firstBroken"]["id"].as_str().unwrap();
    assert!(
        String::from_utf8_lossy(&checked.stderr).contains(&format!("changed, first at seq 2, id {id}")),
        "{checked:?}"
    );
    world.end().await;
}

#[tokio::test]
async fn a_file_or_a_key_that_cannot_be_read_is_a_bad_setting_and_says_nothing_about_the_log() {
    let directory = directory("audit_log_bad_settings");
    let text = file(&directory, "text", "neither a checkpoint nor a proof");
    let proof = json!({"entry": {}, "leafIndex": 0, "inclusionProof": [], "checkpoint": "none"});
    let proof = file(&directory, "proof.json", &proof.to_string());
    let settings = [("DATABASE_URL", "postgres://nobody@127.0.0.1:1/nothing")];
    for (arguments, status, said) in [
        (&["--checkpoint", "/nowhere"][..], 2, "error: --checkpoint cannot be read: "),
        (&["--checkpoint", &text], 2, "error: --checkpoint must be a file with a signed checkpoint"),
        (&["--key", "A6EHv"], 2, "error: --key must be `name+id+key`, or 32 bytes in base64"),
        (&["--proof", "/nowhere", "--key", PUBLIC_KEY], 2, "error: --proof cannot be read: "),
        (&["--proof", &text, "--key", PUBLIC_KEY], 2, "error: --proof is not a proof: "),
        (&["--proof", &proof, "--key", "A6EHv"], 2, "error: --key must be `name+id+key`, or 32 bytes in base64"),
        (&["--proof", &proof, "--key", PUBLIC_KEY], 1, "ringback: the proof does not hold: "),
    ] {
        let checked = ringback(&[&["audit", "verify"][..], arguments].concat(), &settings).await;
        assert_eq!(checked.status.code(), Some(status), "{arguments:?}: {checked:?}");
        let printed = String::from_utf8_lossy(&checked.stderr);
        assert!(printed.starts_with(said) && printed.lines().count() == 1, "{arguments:?}: {printed}");
    }
}

#[tokio::test]
async fn without_a_signing_key_nothing_is_sealed_and_the_answers_say_so() {
    let world = World::start().await;
    world.ask(&payload_from(1)).await;
    let verification = world.get("/v1/audit/verification").await;
    assert_eq!((&verification["valid"], &verification["sealed"]), (&true.into(), &0.into()));
    assert!(verification["checkpoint"].is_null() && verification["firstBroken"].is_null(), "{verification}");
    let entry = world.get("/v1/audit").await["data"][0]["id"].as_str().unwrap().to_owned();
    let answer = world.request(Method::GET, &format!("/v1/audit/{entry}/proof")).send().await.unwrap();
    assert_eq!(answer.status(), 409);
    assert_eq!(answer.json::<Value>().await.unwrap()["type"], "/problems/audit-entry-not-sealed");
    for path in ["/v1/audit/log/checkpoint", "/v1/audit/log/tile/0/000", "/v1/audit/log/tile/9/../x"] {
        assert_eq!(world.request(Method::GET, path).send().await.unwrap().status(), 404, "{path}");
    }
    world.end().await;
}

#[tokio::test]
async fn checkpoints_are_written_to_files_and_signatures_of_witnesses_are_kept() {
    let directory = directory(&format!("audit_checkpoints_{}", std::process::id()));
    let settings = [SETTINGS[0], SETTINGS[1], ("AUDIT_CHECKPOINT_DIR", directory.to_str().unwrap())];
    let world = World::with(&settings).await;
    let kept = eventually("a kept checkpoint", async || {
        let mut files = std::fs::read_dir(&directory).unwrap().map(|file| file.unwrap().path());
        files.find(|path| path.to_str().unwrap().contains("checkpoint-2")).ok_or_else(|| "none".to_owned())
    })
    .await;
    let checkpoint = std::fs::read_to_string(&kept).unwrap();
    assert_eq!(text(&world, "/v1/audit/log/checkpoint").await, checkpoint);
    assert_eq!(std::fs::read_to_string(directory.join("checkpoint")).unwrap(), checkpoint);

    let cosigned = format!("{checkpoint}— witness.example.com d2l0bmVzcyBzaWduYXR1cmU=\n");
    std::fs::write(&kept, &cosigned).unwrap();
    eventually("the signature of the witness", async || {
        let newest = text(&world, "/v1/audit/log/checkpoint").await;
        if newest == cosigned { Ok(()) } else { Err(newest) }
    })
    .await;
    world.end().await;
    std::fs::remove_dir_all(&directory).unwrap();
}

#[tokio::test]
async fn an_endpoint_that_names_the_event_receives_a_checkpoint_that_verifies_with_the_public_key() {
    let world = World::of_webhooks(&SETTINGS).await;
    let receiver = Receiver::start(&[]).await;
    let hook = world.hook(json!({"url": receiver.url, "events": ["audit.checkpoint"]})).await;
    let received = &receiver.received_when(1).await[0];

    let headers =
        received.headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
    Webhook::new(hook["secret"].as_str().unwrap()).unwrap().verify(received.body.as_bytes(), &headers).unwrap();
    let event = received.event();
    assert_eq!((&event["type"], &event["event"]), (&json!("audit.checkpoint"), &json!("AUDIT_CHECKPOINT")));
    assert_eq!(event["id"], received.headers["webhook-id"].as_str());
    let note = Note::from_bytes(event["checkpoint"].as_str().unwrap().as_bytes()).unwrap();
    let known = VerifierList::new(vec![Box::new(StandardVerifier::new(VERIFIER_KEY).unwrap())]);
    note.verify(&known).unwrap();
    let signed = String::from_utf8_lossy(note.text());
    let mut lines = signed.lines();
    assert_eq!(event["origin"], lines.next().unwrap());
    assert_eq!(event["size"].to_string(), lines.next().unwrap());
    world.end().await;
}
