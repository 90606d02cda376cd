//! Refused requests in the audit log: one entry each, with codes and known names only, and no more than the bound.

use futures::future::join_all;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::support::{
    Answer, CALLER, DIALING, World, caller, create_key, eventually, pause, payload, payload_from, payload_with, tally,
    text,
};

const UNKNOWN: &str = "0192f0c4-1111-7000-8000-00000000dead";

impl World {
    fn anonymous(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.service.base_url))
    }

    fn raw(&self, method: Method, path: &str, kind: &str, body: Vec<u8>) -> RequestBuilder {
        self.request(method, path).header("content-type", kind).body(body)
    }

    /// The only entry that a request leaves, or none, and its response.
    async fn entry_left_by(&self, id: &str, request: RequestBuilder) -> (Answer, Option<Value>) {
        let answer = Answer::to(request.header("x-request-id", id)).await;
        let mut entries = self.entries_of(id).await;
        assert!(entries.len() <= 1, "{id}: {entries:?}");
        (answer, entries.pop())
    }
}

/// Requests that are refused: a name, the request, its status and its problem. The caller has an open callback already.
fn refused_requests(
    world: &World,
    reader: &str,
    revoked: &str,
) -> Vec<(&'static str, RequestBuilder, u16, &'static str)> {
    const CALLBACKS: &str = "/v1/callbacks";
    let (post, get) = (|| Method::POST, || Method::GET);
    let json_type = "application/json";
    let settings = world.request(Method::PUT, &format!("/v1/campaigns/{DIALING}/settings"));
    let unknown = world.request(post(), &format!("/v1/campaigns/{UNKNOWN}/pause"));
    let invalid = payload_with(json!({"language": null, "+12025550199": 1}));
    vec![
        ("no-key", world.anonymous(post(), CALLBACKS), 401, "unauthorized"),
        ("read", world.anonymous(get(), CALLBACKS), 401, "unauthorized"),
        ("revoked", world.anonymous(get(), CALLBACKS).bearer_auth(revoked), 401, "unauthorized"),
        ("scope", world.anonymous(post(), CALLBACKS).bearer_auth(reader), 403, "forbidden"),
        ("read-scope", world.anonymous(get(), CALLBACKS).bearer_auth(reader), 403, "forbidden"),
        (
            "malformed",
            world.raw(post(), &format!("/v1/campaigns/{DIALING}/pause"), json_type, b"{".into()),
            400,
            "malformed-json",
        ),
        ("large", world.raw(post(), CALLBACKS, json_type, vec![b' '; 2_000_000]), 413, "payload-too-large"),
        ("type", world.raw(post(), CALLBACKS, "text/plain", b"{}".into()), 415, "unsupported-media-type"),
        ("unknown-campaign", unknown.json(&pause()), 404, "not-found"),
        ("duplicate", world.request(post(), CALLBACKS).json(&payload()), 409, "duplicate-callback"),
        ("changed", settings.json(&json!({})).header("if-match", "\"7\""), 412, "settings-changed"),
        ("invalid", world.request(post(), CALLBACKS).json(&invalid), 422, "invalid-request"),
    ]
}

#[tokio::test]
async fn each_refusal_leaves_one_entry_with_its_actor() {
    let world = World::of_webhooks(&[]).await;
    let reader = create_key(&world.database, &["audit:read"]).await;
    let revoked = create_key(&world.database, &["callbacks:write"]).await;
    let revoke = "update api_keys set revoked_at = now()
        where id = (select id from api_keys order by created_at desc limit 1) returning id::text";
    let revoked_id: String = sqlx::query_scalar(revoke).fetch_one(&world.database.pool).await.unwrap();
    world.ask(&payload()).await;

    for (id, request, status, problem) in refused_requests(&world, &reader, &revoked) {
        let (answer, entry) = world.entry_left_by(id, request).await;
        let entry = entry.unwrap_or_else(|| panic!("{id} has no entry"));

        assert_eq!(answer.problem(), (status, problem), "{id}");
        let actor = if status == 401 { "anonymous" } else { "api_key" };
        let action = if id == "unknown-campaign" { "campaign.pause_refused" } else { "request.refused" };
        let said = (&entry["action"], &entry["outcome"], &entry["actor"], &entry["detail"]["problem"]);
        assert_eq!(said, (&json!(action), &json!("refused"), &json!(actor), &json!(problem)), "{id}: {entry}");
        match id {
            "revoked" => assert_eq!(entry["detail"]["keyId"], revoked_id),
            "malformed" => {
                assert_eq!((&entry["campaignId"], &entry["detail"]["status"]), (&json!(DIALING), &json!(400)));
                assert_eq!(entry["detail"]["route"], "/v1/campaigns/{campaignId}/pause");
            }
            "invalid" => assert_eq!(entry["detail"]["faults"], json!([" unknown-member", "/language required"])),
            _ => {}
        }
    }

    for (id, path) in [("no-callback", format!("/v1/callbacks/{UNKNOWN}")), ("parameter", "/v1/callbacks?a=1".into())] {
        assert_eq!(world.entry_left_by(id, world.request(Method::GET, &path)).await.1, None);
    }
    let with_number = format!("from audit_entries as a where a::text like '%{}%'", &CALLER[1..]);
    assert_eq!(world.database.count(&with_number).await, 0, "a phone number is in the log");
    world.end().await;
}

#[tokio::test]
async fn a_replayed_refusal_leaves_no_further_entry() {
    let world = World::start().await;
    world.ask(&payload()).await;
    let request =
        |body: &Value| world.request(Method::POST, "/v1/callbacks").header("idempotency-key", "one").json(body);
    let duplicate = payload();

    let (first, recorded) = world.entry_left_by("first", request(&duplicate)).await;
    let (replayed, nothing) = world.entry_left_by("second", request(&duplicate)).await;
    let (reused, reuse) = world.entry_left_by("third", request(&payload_from(2))).await;

    assert_eq!((first.status, replayed.status, &first.body), (409, 409, &replayed.body));
    assert_eq!(replayed.header("idempotency-replayed"), Some("true"));
    assert!(recorded.is_some() && nothing.is_none());
    assert_eq!(reused.problem(), (422, "idempotency-key-reused"));
    assert_eq!(reuse.unwrap()["detail"]["problem"], "idempotency-key-reused");
    world.end().await;
}

#[tokio::test]
async fn a_refusal_is_recorded_once_if_the_client_disconnects_and_repeats_the_request() {
    let world = World::start().await;
    world.ask(&payload()).await;
    let body = payload().to_string();
    let mut stream = TcpStream::connect(world.service.base_url.trim_start_matches("http://")).await.unwrap();
    let request = format!(
        "POST /v1/callbacks HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {}\r\nidempotency-key: one\r\nx-request-id: first\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        world.key,
        body.len()
    );
    let mut locked = world.database.pool.begin().await.unwrap();
    sqlx::raw_sql("lock table callbacks in share row exclusive mode").execute(&mut *locked).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    world.database.when("from idempotency_keys").await;
    drop(stream);
    locked.rollback().await.unwrap();

    let entry = eventually("the entry", async || world.entries_of("first").await.pop().ok_or_else(String::new)).await;
    let repeated = eventually("a stored answer", async || {
        let request = world.raw(Method::POST, "/v1/callbacks", "application/json", body.clone().into_bytes());
        let request = request.header("idempotency-key", "one").header("x-request-id", "second");
        let answer = Answer::to(request).await;
        if answer.problem().1 == "idempotency-key-in-use" { Err(answer.body.to_string()) } else { Ok(answer) }
    })
    .await;

    assert_eq!((entry["action"].as_str(), entry["detail"]["status"].as_u64()), (Some("request.refused"), Some(409)));
    assert_eq!(repeated.header("idempotency-replayed"), Some("true"), "{repeated:?}");
    let problems = world.entries_of("second").await;
    assert!(problems.iter().all(|entry| entry["detail"]["problem"] == "idempotency-key-in-use"), "{problems:?}");
    world.end().await;
}

#[tokio::test]
async fn a_batch_leaves_one_entry_that_counts_the_refused_items() {
    let world = World::start().await;
    world.ask(&payload_from(1)).await;
    let invalid = payload_with(json!({"phoneNumber": "1", "metadata": {"+12025550177": 7}}));
    let batch = json!({"callbacks": [payload_from(1), payload_from(2), invalid, invalid, 7]});
    let request = world.request(Method::POST, "/v1/callbacks/batch").json(&batch);
    let answer = Answer::to(request.header("x-request-id", "batch")).await;

    let entries = world.entries_of("batch").await;
    let actions = tally(&entries, |entry| text(entry, "action"));
    let refused = entries.iter().find(|entry| entry["action"] == "request.refused").unwrap();

    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!((actions["callback.accepted"], actions["request.refused"]), (1, 1), "{entries:?}");
    assert_eq!(refused["detail"]["items"], json!({"duplicate-callback": 1, "invalid-request": 3}));
    let faults = json!(["/metadata wrong-type", "/phoneNumber not-a-phone-number", " wrong-type"]);
    assert_eq!(refused["detail"]["faults"], faults);
    assert!(!refused.to_string().contains("2025550177") && !refused.to_string().contains(&caller(1)[1..]));
    world.end().await;
}

#[tokio::test]
async fn of_a_flood_without_a_key_few_are_recorded_and_the_others_are_counted() {
    const SENT: usize = 400;
    let world = World::start().await;
    let ask = async |n| {
        let key = if n % 2 == 0 { "rbk_guess" } else { "" };
        world.anonymous(Method::POST, "/v1/callbacks").bearer_auth(key).send().await.unwrap().status().as_u16()
    };
    let statuses = join_all((0..SENT).map(ask)).await;
    let metrics = world.anonymous(Method::GET, "/metrics").send().await.unwrap().text().await.unwrap();
    let World { database, service, .. } = world;
    service.terminate().await;

    let of = "from audit_entries where actor_type = 'anonymous'";
    let entries = database.count(of).await;
    let sum = format!("select sum((detail ? 'status')::int + coalesce((detail ->> 'omitted')::int, 0)) {of}");
    let counted: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(sum)).fetch_one(&database.pool).await.unwrap();

    assert!(statuses.iter().all(|status| *status == 401), "{statuses:?}");
    assert!((20..=61).contains(&entries), "{entries} entries");
    assert_eq!(counted, i64::try_from(SENT).unwrap());
    assert!(metrics.contains("ringback_audit_refusals_omitted_total{reason=\"rate\"}"), "{metrics}");
    database.drop().await;
}

#[tokio::test]
async fn a_refusal_that_cannot_be_recorded_is_answered_all_the_same_and_counted() {
    let world = World::start().await;
    world.database.run("alter table audit_entries rename to elsewhere").await;
    let unrecorded = world.request(Method::POST, "/v1/callbacks").json(&json!({}));
    let unrecorded = Answer::to(unrecorded).await;
    world.database.run("alter table elsewhere rename to audit_entries").await;
    let request = world.request(Method::POST, "/v1/callbacks").json(&json!({}));
    let (next, entry) = world.entry_left_by("next", request).await;

    assert_eq!((unrecorded.problem(), next.problem()), ((422, "invalid-request"), (422, "invalid-request")));
    assert_eq!(entry.unwrap()["detail"]["omitted"], 1);
    let metrics = world.anonymous(Method::GET, "/metrics").send().await.unwrap().text().await.unwrap();
    assert!(metrics.contains("ringback_audit_refusals_omitted_total{reason=\"failed\"} 1"), "{metrics}");
    world.end().await;
}
