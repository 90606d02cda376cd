//! A backup that is restored into a new server.

use serde_json::{Value, json};
use tokio::process::Command;

use crate::harness::is_nice;
use crate::support::{
    BINARY, Database, Durability, Postgres, Service, World, create_key, eventually, has_program, payload_from,
};

const SETTINGS: [(&str, &str); 2] = [
    ("AUDIT_SIGNING_KEY", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="),
    ("AUDIT_LOG_ORIGIN", "audit.example.com/ringback"),
];

async fn run(program: &str, arguments: &[&str], url: &str) -> String {
    let output = Command::new(program).args(arguments).env("DATABASE_URL", url).output().await.unwrap();
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Restores a backup as docs/backup.md says.
async fn restore(file: &str, database: &Database) {
    let url = format!("--dbname={}", database.url);
    run("pg_restore", &["--exit-on-error", "--no-owner", "--clean", "--if-exists", &url, file], &database.url).await;
    database.run(include_str!("../../docs/after-restore.sql")).await;
}

/// The checkpoint of a log in which everything is sealed.
async fn sealed(world: &World) -> String {
    let all = eventually("a log in which everything is sealed", async || {
        let verification = world.get("/v1/audit/verification").await;
        let all = verification["valid"] == true && verification["sealed"] == verification["entries"];
        if all { Ok(verification) } else { Err(verification.to_string()) }
    });
    all.await["checkpoint"].as_str().unwrap().to_owned()
}

async fn accepted(world: &World, n: usize) -> String {
    let (status, callback) = world.ask_with(&payload_from(n), &[("prefer", "respond-async")]).await;
    assert_eq!(status, 202, "{callback}");
    callback["id"].as_str().unwrap().to_owned()
}

fn state(callback: &Value) -> (&Value, &Value) {
    (&callback["status"], &callback["confirmation"]["status"])
}

#[tokio::test]
async fn after_a_restore_callbacks_continue_with_the_contacts_that_cxone_has() {
    if !has_program("pg_restore").await {
        return;
    }
    let mut world = World::with(&SETTINGS).await;
    let confirmed = world.ask(&payload_from(1)).await.1["id"].as_str().unwrap().to_owned();
    let confirmed = world.settled(&confirmed).await;
    let unreachable = world.cxone.fault(json!({"route": "*", "kind": "status", "status": 503})).await;
    let waiting = accepted(&world, 2).await;
    let checkpoint = sealed(&world).await;
    let directory = tempfile(&checkpoint);
    let file = directory.join("ringback.dump");
    let file = file.to_str().unwrap();
    run("pg_dump", &["--format=custom", &format!("--file={file}"), &world.database.url], &world.database.url).await;

    // What the backup does not have.
    world.cxone.remove_fault(unreachable).await;
    world.database.run("update callbacks set due_at = now() where due_at is not null").await;
    let before = world.settled(&waiting).await;
    let lost = accepted(&world, 3).await;
    world.settled(&lost).await;
    let (contacts, messages) = (world.cxone.contacts().await.len(), world.cxone.messages().await.len());
    assert_eq!((contacts, messages), (3, 3));

    let server = Postgres::start(Durability::Fast).await;
    let restored = server.database();
    restore(file, &restored).await;
    let service = Service::start(&restored, &world.cxone, &SETTINGS).await;
    std::mem::replace(&mut world.service, service).kill().await;
    std::mem::replace(&mut world.database, restored).drop().await;
    world.key = create_key(&world.database, &["callbacks:read", "callbacks:write", "audit:read"]).await;

    if is_nice() {
        let after = world.settled(&waiting).await;
        assert_eq!((&after["status"], &after["dispatchTime"]), (&json!("scheduled"), &before["dispatchTime"]));
    } else {
        world.callback_when(&waiting, |callback| callback["failure"]["code"] == "cxone-time-unknown").await;
        assert_eq!(world.cxone.messages().await.len(), 3);
    }
    assert_eq!(world.get(&format!("/v1/callbacks/{}", confirmed["id"].as_str().unwrap())).await, confirmed);
    assert_eq!(world.cxone.contacts().await.len(), 3);
    let newer = accepted(&world, 4).await;
    assert_eq!(state(&world.settled(&newer).await), (&json!("scheduled"), &json!("sent")));

    // The log continues from the backup, and extends what was published before it.
    sealed(&world).await;
    let kept = directory.join("checkpoint");
    run(BINARY, &["audit", "verify", "--checkpoint", kept.to_str().unwrap()], &world.database.url).await;
    world.end().await;
    std::fs::remove_dir_all(directory).unwrap();
}

/// A new directory that has the checkpoint in a file.
fn tempfile(checkpoint: &str) -> std::path::PathBuf {
    let directory = std::env::temp_dir().join(format!("rb-backup-{}", uuid::Uuid::now_v7().simple()));
    std::fs::create_dir(&directory).unwrap();
    std::fs::write(directory.join("checkpoint"), checkpoint).unwrap();
    directory
}
