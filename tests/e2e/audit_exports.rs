//! The audit log as CSV, NDJSON and a table; and that reading it holds up nobody.

use std::collections::HashSet;

use futures::future::join_all;
use reqwest::{Method, Response};
use serde_json::Value;
use tokio::process::Command;

use crate::support::{Answer, BINARY, World, create_key_with, eventually, faults, payload_from, processes, text};

/// More than an export holds in memory, in entries of 2 KiB.
const MANY: usize = 40_000;
const MEMORY_KIB: u64 = 64 * 1024;

impl World {
    async fn with_many_entries() -> Self {
        let world = Self::start().await;
        world
            .sql(&format!(
                "insert into audit_entries (id, \"timestamp\", action, actor_type, actor_id, actor_name, outcome, detail)
                 select gen_random_uuid(), now() - n * interval '1 ms', 'settings.updated', 'system', 'many', 'many', 'succeeded',
                     jsonb_build_object('text', repeat('a', 2000))
                 from generate_series(1, {MANY}) as n"
            ))
            .await;
        world
    }

    async fn export(&self, query: &str, accept: &str) -> Response {
        let answer =
            self.request(Method::GET, &format!("/v1/audit{query}")).header("accept", accept).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{answer:?}");
        answer
    }
}

#[tokio::test]
async fn a_slow_reader_gets_every_entry_once_while_others_are_inserted_and_the_service_holds_few_of_them() {
    let world = World::with_many_entries().await;
    // The first callback loads the metadata of phone numbers.
    world.accept(&payload_from(0)).await;
    let before = processes::resident_kib(world.service.id());

    let mut answer = world.export("?actor=many", "application/x-ndjson").await;
    let (mut body, mut chunks, mut most) = (Vec::new(), 0, 0);
    while let Some(chunk) = answer.chunk().await.unwrap() {
        body.extend_from_slice(&chunk);
        chunks += 1;
        if chunks % 500 == 1 {
            world.accept(&payload_from(1 + chunks / 500)).await;
        }
        most = most.max(processes::resident_kib(world.service.id()));
    }

    let ids: Vec<String> = body
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| text(&serde_json::from_slice(line).unwrap(), "id"))
        .collect();
    let expected: Vec<String> = sqlx::query_scalar(
        "select id::text from audit_entries where actor_id = 'many' order by \"timestamp\" desc, seq desc",
    )
    .fetch_all(&world.database.pool)
    .await
    .unwrap();
    assert!(ids == expected && ids.iter().collect::<HashSet<_>>().len() == MANY, "{} of {}", ids.len(), expected.len());
    assert!(body.len() > usize::try_from(MEMORY_KIB).unwrap() * 1024, "{}", body.len());
    assert!(most - before < MEMORY_KIB, "{before} KiB before, {most} KiB at most");
    world.end().await;
}

#[tokio::test]
async fn an_export_that_fails_halfway_does_not_look_complete() {
    let world = World::with_many_entries().await;
    for accept in ["text/csv", "application/x-ndjson"] {
        let mut answer = world.export("", accept).await;
        assert!(answer.chunk().await.unwrap().is_some());
        world.sql("alter table audit_entries rename to elsewhere").await;
        let rest = answer.bytes().await;
        assert!(rest.is_err(), "{accept}: {} bytes and a proper end", rest.unwrap().len());
        world.sql("alter table elsewhere rename to audit_entries").await;
    }
    world.end().await;
}

#[tokio::test]
async fn accept_chooses_between_a_page_and_an_export() {
    let world = World::start().await;
    let id = world.accept(&payload_from(1)).await;
    world.settled(&id).await;
    let query = format!("?callbackId={id}");
    let listed = world.get(&format!("/v1/audit{query}")).await["data"].as_array().unwrap().clone();
    assert_eq!(listed.len(), 3);

    let lines = world.export(&query, "text/html, application/x-ndjson;q=0.9, */*;q=0.1").await.text().await.unwrap();
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines, listed);

    let csv = world.export(&query, "text/csv").await;
    assert_eq!(csv.headers()["content-type"], "text/csv; charset=utf-8; header=present");
    assert_eq!(csv.headers()["content-disposition"], "attachment; filename=\"audit.csv\"");
    let csv = csv.text().await.unwrap();
    let rows: Vec<&str> = csv.split_terminator("\r\n").collect();
    assert!(rows.len() == 4 && rows[0].starts_with("id,timestamp,action,actorType,"), "{csv}");
    for (row, entry) in rows[1..].iter().zip(&listed) {
        assert!(row.starts_with(&format!("{},{}", text(entry, "id"), text(entry, "timestamp"))), "{row}");
    }
    let nothing = world.export("?action=hold.placed", "text/csv").await.text().await.unwrap();
    assert_eq!(nothing, format!("{}\r\n", rows[0]));

    let json = Answer::to(world.request(Method::GET, "/v1/audit").header("accept", "*/*")).await;
    assert_eq!(json.header("content-type"), Some("application/json"));
    let refused = Answer::to(world.request(Method::GET, "/v1/audit").header("accept", "text/html")).await;
    assert_eq!(refused.problem(), (406, "not-acceptable"));
    let paged = world.request(Method::GET, "/v1/audit?limit=5&cursor=x").header("accept", "text/csv");
    let paged = Answer::to(paged).await;
    assert_eq!(paged.problem(), (422, "invalid-request"));
    assert_eq!(faults(&paged.body), ["/limit not-a-page", "/cursor not-a-page"]);
    world.end().await;
}

#[tokio::test]
async fn reports_that_hang_do_not_keep_a_callback_from_being_accepted() {
    let world = World::with(&[("DATABASE_MAX_CONNECTIONS", "2")]).await;
    // Reading waits for a lock; inserting does not.
    world
        .sql(
            "alter table audit_entries rename to entries;
             create view audit_entries as
                 select * from entries where (select pg_advisory_xact_lock_shared(4711)::text) = ''",
        )
        .await;
    let mut holder = world.database.pool.acquire().await.unwrap();
    sqlx::query("select pg_advisory_lock(4711)").execute(&mut *holder).await.unwrap();

    let accepts = ["text/csv", "application/json", "application/x-ndjson"];
    let reports = (0..12).map(|n| Answer::to(world.request(Method::GET, "/v1/audit").header("accept", accepts[n % 3])));
    let reports: Vec<_> = reports.map(tokio::spawn).collect();
    eventually("all connections for reports are busy", async || {
        let busy = world.database.count("from pg_locks where objid = 4711 and not granted").await;
        if busy == 3 { Ok(()) } else { Err(busy.to_string()) }
    })
    .await;
    for number in 0..5 {
        world.accept(&payload_from(number)).await;
    }

    sqlx::query("select pg_advisory_unlock(4711)").execute(&mut *holder).await.unwrap();
    drop(holder);
    for report in join_all(reports).await {
        let report = report.unwrap();
        if report.status != 200 {
            assert_eq!(report.problem(), (503, "unavailable"));
            assert!(report.header("retry-after").is_some(), "{report:?}");
        }
    }
    world.end().await;
}

#[tokio::test]
async fn the_command_line_prints_the_log() {
    let world = World::start().await;
    create_key_with(BINARY.as_ref(), &world.database.url, &["callbacks:read"]).await;
    let id = world.accept(&payload_from(1)).await;
    world.settled(&id).await;
    let list = async |arguments: &[&str]| {
        let mut command = Command::new(BINARY);
        let output =
            command.env("DATABASE_URL", &world.database.url).args(["audit", "list"]).args(arguments).output().await;
        let output = output.unwrap();
        let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
        (output.status.code(), if out.is_empty() { err } else { out })
    };

    let (status, table) = list(&["--callback-id", &id]).await;
    let rows: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!((status, rows.len()), (Some(0), 4), "{table}");
    assert_eq!(rows[0], ["TIME", "ACTION", "OUTCOME", "ACTOR", "CAMPAIGN", "CALLBACK", "DETAIL"]);
    assert_eq!(rows[3][1..4], ["callback.accepted", "succeeded", "test"]);
    assert!(rows[3].contains(&id.as_str()) && table.contains("+1202•••0001"), "{table}");
    let (_, limited) = list(&["--limit", "1"]).await;
    assert_eq!(limited.lines().count(), 2, "{limited}");
    let (_, csv) = list(&["--format", "csv", "--actor", "cli"]).await;
    assert!(csv.starts_with("id,timestamp,") && csv.contains(",key.created,operator,cli,"), "{csv}");
    let (_, lines) = list(&["--format", "ndjson", "--action", "callback.scheduled", "--outcome", "succeeded"]).await;
    let line: Value = serde_json::from_str(&lines).unwrap();
    assert_eq!(line["callbackId"], id.as_str());
    let (status, wrong) = list(&["--from", "yesterday", "--outcome", "perhaps"]).await;
    assert!(status == Some(2) && wrong.contains("--from") && wrong.contains("--outcome"), "{wrong}");
    world.end().await;
}
