//! What a key allows: campaigns, a rate, and other keys.

use reqwest::{Client, Method};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::support::{Answer, BINARY, CAMPAIGN, DIALING, Document, Service, World, eventually, payload_with, text};

const ALL: [&str; 9] = [
    "callbacks:write",
    "callbacks:read",
    "campaigns:write",
    "campaigns:read",
    "events:write",
    "audit:read",
    "webhooks:write",
    "privacy:write",
    "keys:write",
];

/// What `ringback keys` prints on stdout and stderr.
async fn keys_command(world: &World, arguments: &[&str]) -> (String, String) {
    let mut command = Command::new(BINARY);
    let output = command.env("DATABASE_URL", &world.database.url).arg("keys").args(arguments).output().await.unwrap();
    let (stdout, stderr) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(output.status.success(), "{arguments:?}: {stderr}");
    (stdout, stderr)
}

/// A sender with a key of its own.
struct Sender {
    http: Client,
    base_url: String,
    key: String,
}

impl Sender {
    fn new(world: &World, key: &str) -> Self {
        Self { http: world.http.clone(), base_url: world.service.base_url.clone(), key: key.trim_end().to_owned() }
    }

    async fn with(world: &World, scopes: &[&str], options: &[&str]) -> Self {
        let scopes = scopes.iter().flat_map(|scope| ["--scope", *scope]);
        let arguments: Vec<_> =
            ["create", "--name", "test"].into_iter().chain(scopes).chain(options.to_vec()).collect();
        Self::new(world, &keys_command(world, &arguments).await.0)
    }

    async fn send(&self, method: Method, path: &str, body: Option<&Value>) -> Answer {
        let request = self.http.request(method, format!("{}{path}", self.base_url)).bearer_auth(&self.key);
        Answer::to(if let Some(body) = body { request.json(body) } else { request }).await
    }

    async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, None).await
    }

    async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(Method::POST, path, Some(body)).await
    }
}

fn length(answer: &Answer) -> usize {
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.body["data"].as_array().unwrap().len()
}

#[tokio::test]
async fn a_key_of_a_campaign_sees_and_changes_nothing_of_other_campaigns() {
    let world = World::start().await;
    let restricted = Sender::with(&world, &ALL, &["--campaign", CAMPAIGN]).await;
    let forbidden = (403, "campaign-not-allowed");
    let other = world.accept(&payload_with(json!({"campaignId": DIALING}))).await;
    for (method, path) in [(Method::GET, ""), (Method::POST, "/cancel")] {
        let answer = restricted.send(method, &format!("/v1/callbacks/{other}{path}"), None).await;
        assert_eq!(answer.problem(), forbidden, "{path}");
    }
    let window = payload_with(json!({}));
    let window = json!({"requestedStart": window["requestedStart"], "requestedEnd": window["requestedEnd"]});
    let moved = restricted.post(&format!("/v1/callbacks/{other}/reschedule"), &window).await;
    assert_eq!(moved.problem(), forbidden);
    let (own, theirs) = (payload_with(json!({})), payload_with(json!({"campaignId": DIALING})));
    assert_eq!(restricted.post("/v1/callbacks", &theirs).await.problem(), forbidden);
    let batch = restricted.post("/v1/callbacks/batch", &json!({"callbacks": [theirs, own]})).await;
    assert_eq!(batch.body["results"][0]["problem"]["type"], "/problems/campaign-not-allowed", "{batch:?}");
    let id = text(&batch.body["results"][1], "id");
    assert_eq!(restricted.get(&format!("/v1/callbacks/{id}")).await.status, 200);

    assert_eq!(length(&restricted.get("/v1/callbacks").await), 1);
    assert_eq!(restricted.get(&format!("/v1/callbacks?campaignId={DIALING}")).await.problem(), forbidden);
    assert_eq!(restricted.get(&format!("/v1/audit?campaignId={DIALING}")).await.problem(), forbidden);
    let log = restricted.get("/v1/audit").await;
    assert!(length(&log) > 0);
    assert!(log.body["data"].as_array().unwrap().iter().all(|entry| entry["campaignId"] == CAMPAIGN), "{log:?}");
    let export = restricted.http.get(format!("{}/v1/audit", restricted.base_url)).bearer_auth(&restricted.key);
    let export = Answer::to(export.header("accept", "text/csv")).await;
    assert!(export.status == 200 && !export.body.to_string().contains(DIALING), "{export:?}");
    assert_eq!(length(&restricted.get("/v1/campaigns").await), 0);
    world.end().await;
}

/// What a key that is restricted to campaigns may do without naming a campaign, or finds missing.
const OPEN: [&str; 17] = [
    "postCallback",
    "postCallbacks",
    "listCallbacks",
    "getCallback",
    "getPlacement",
    "listCallbackSlots",
    "getPromiseReport",
    "getStatistics",
    "cancelCallback",
    "rescheduleCallback",
    "listCampaigns",
    "listAudit",
    "getAuditEntry",
    "listKeys",
    "getKey",
    "revokeKey",
    "rotateKey",
];

#[tokio::test]
async fn an_operation_is_closed_to_keys_of_campaigns_unless_it_is_named_here() {
    let world = World::start().await;
    let scopes = [&ALL[..], &["campaigns:override", "webhooks:read", "privacy:read"]].concat();
    let restricted = Sender::with(&world, &scopes, &["--campaign", CAMPAIGN]).await;
    let document = Document::new(world.get("/openapi.json").await);
    for operation in document.operations().filter(|operation| operation.path.starts_with("/v1/")) {
        let name = text(operation.json, "operationId");
        let path = operation.path.replace("{campaignId}", DIALING).replace("{id}", DIALING).replace("{path}", "0/000");
        let (_, body) = operation.examples()[0];
        let answer = restricted.send(operation.method.clone(), &path, body).await;
        if OPEN.contains(&name.as_str()) {
            assert!([200, 201, 404, 422, 403].contains(&answer.status), "{name}: {answer:?}");
        } else if name == "postKey" {
            assert_eq!((answer.problem(), &answer.body["exceeded"]), ((403, "key-not-allowed"), &json!(["campaigns"])));
        } else {
            assert_eq!(answer.problem(), (403, "campaign-not-allowed"), "{name}");
        }
    }
    let settings = format!("/v1/campaigns/{CAMPAIGN}/settings");
    let skills = json!({"maxAgents": 5, "nice": {"skillId": 4001}});
    let answer = restricted.send(Method::PUT, &settings, Some(&skills)).await;
    assert_eq!(answer.problem(), (403, "campaign-not-allowed"));
    world.end().await;
}

#[tokio::test]
async fn a_key_creates_rotates_and_revokes_no_key_that_has_more_than_itself() {
    let world = World::start().await;
    let admin = Sender::with(&world, &ALL, &[]).await;
    let options = ["--rate", "1000/h", "--campaign", CAMPAIGN, "--expires-in", "30d"];
    let limited = Sender::with(&world, &["keys:write", "callbacks:read"], &options).await;
    let excess = async |members: Value| {
        let mut request = json!({"name": "child", "scopes": ["callbacks:read"], "campaigns": [CAMPAIGN], "rate": "10/h",
            "expiresAt": crate::support::in_ms(3_600_000)});
        request.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        let answer = limited.post("/v1/keys", &request).await;
        (answer.status, answer.body["exceeded"].clone())
    };
    assert_eq!(excess(json!({})).await, (201, Value::Null));
    assert_eq!(excess(json!({"scopes": ["callbacks:write"]})).await, (403, json!(["scopes"])));
    assert_eq!(excess(json!({"campaigns": [CAMPAIGN, DIALING]})).await, (403, json!(["campaigns"])));
    assert_eq!(excess(json!({"campaigns": null, "rate": null})).await, (403, json!(["campaigns", "rate"])));
    assert_eq!(excess(json!({"rate": "1001/h"})).await, (403, json!(["rate"])));
    assert_eq!(excess(json!({"expiresAt": null})).await, (403, json!(["expiresAt"])));

    // The admin's key, that of the test, its own, and its child.
    let all = admin.get("/v1/keys").await;
    assert_eq!((length(&all), length(&limited.get("/v1/keys").await)), (4, 2));
    assert!(!all.body.to_string().contains("rbk_"), "{all:?}");
    let more =
        admin.post("/v1/keys", &json!({"name": "more", "scopes": ["audit:read"], "campaigns": [CAMPAIGN]})).await;
    assert_eq!((more.status, more.header("cache-control")), (201, Some("no-store")), "{more:?}");
    let more = format!("/v1/keys/{}", text(&more.body, "id"));
    for (method, path) in [(Method::DELETE, more.clone()), (Method::POST, format!("{more}/rotate"))] {
        assert_eq!(limited.send(method, &path, None).await.problem(), (403, "key-not-allowed"), "{path}");
    }
    assert_eq!(admin.send(Method::DELETE, &more, None).await.status, 204);
    assert!(admin.get(&more).await.body["revokedAt"].is_string());
    world.end().await;
}

#[tokio::test]
async fn a_rotated_key_works_until_the_end_of_its_grace_and_the_new_one_has_the_same_rights() {
    let world = World::start().await;
    let admin = Sender::with(&world, &["keys:write", "callbacks:read"], &[]).await;
    let old = admin.post("/v1/keys", &json!({"name": "ivr", "scopes": ["callbacks:read"], "rate": "9/h"})).await.body;
    let path = format!("/v1/keys/{}/rotate", text(&old, "id"));
    let request = admin.http.post(format!("{}{path}", admin.base_url)).bearer_auth(&admin.key);
    let new = Answer::to(request.header("idempotency-key", "once").header("x-request-id", "rotation")).await;
    assert_eq!((new.status, &new.body["replaces"], &new.body["rate"]), (201, &old["id"], &json!("9/h")), "{new:?}");
    let request = admin.http.post(format!("{}{path}", admin.base_url)).bearer_auth(&admin.key);
    let again = Answer::to(request.header("idempotency-key", "once")).await;
    assert_eq!((&again.body["id"], &again.body["secret"]), (&new.body["id"], &Value::Null));
    let twice = admin.post(&path, &json!({})).await;
    assert_eq!((twice.problem(), &twice.body["replacedBy"]), ((409, "key-already-rotated"), &new.body["id"]));
    for key in [&old, &new.body] {
        assert_eq!(Sender::new(&world, &text(key, "secret")).get("/v1/callbacks").await.status, 200);
    }
    assert_eq!(world.entries_of("rotation").await[0]["action"], "key.rotated");

    let new_id = text(&new.body, "id");
    let (secret, said) = keys_command(&world, &["rotate", &new_id, "--grace", "0s"]).await;
    assert!(said.contains(&format!("replaces {new_id}")), "{said}");
    assert_eq!(Sender::new(&world, &secret).get("/v1/callbacks").await.status, 200);
    let replaced = Sender::new(&world, &text(&new.body, "secret"));
    eventually("the end of the old key", async || {
        let status = replaced.get("/v1/callbacks").await.status;
        if status == 401 { Ok(()) } else { Err(status.to_string()) }
    })
    .await;
    world.end().await;
}

#[tokio::test]
async fn a_key_beyond_its_rate_is_refused_and_no_other_key_is() {
    let world = World::start().await;
    let limited = Sender::with(&world, &["callbacks:write"], &["--rate", "2/h"]).await;
    let empty = json!({});
    let (first, second) =
        (limited.post("/v1/callbacks", &empty).await, limited.post("/v1/callbacks/batch", &empty).await);
    assert_eq!((first.problem(), second.status), ((422, "invalid-request"), 422));
    assert_eq!(first.header("ratelimit-policy"), Some("\"key\";q=2;w=3600"));
    assert_eq!(first.header("ratelimit"), Some("\"key\";r=1;t=1800"));
    let entries = "from audit_entries where action = 'request.refused'";
    assert_eq!(world.database.count(entries).await, 2);
    let third = limited.post("/v1/callbacks", &empty).await;
    assert_eq!(third.problem(), (429, "rate-limit-exceeded"));
    let wait: u64 = third.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=1800).contains(&wait), "{wait}");
    assert!(third.header("ratelimit").unwrap().starts_with("\"key\";r=0;t="), "{third:?}");
    assert_eq!(world.database.count(entries).await, 2);
    let other = Answer::to(world.request(Method::GET, "/v1/callbacks")).await;
    assert_eq!((other.status, other.header("ratelimit")), (200, None));
    world.end().await;
}

#[tokio::test]
async fn replicas_share_the_rate_of_a_key_and_its_last_use_is_listed() {
    let world = World::start().await;
    let second = Service::start(&world.database, &world.cxone, &[]).await;
    let there = Sender::with(&world, &["callbacks:read"], &["--rate", "10000/h"]).await;
    let here = Sender { http: world.http.clone(), base_url: second.base_url.clone(), key: there.key.clone() };
    let remaining = async |sender: &Sender| {
        let answer = sender.get("/v1/callbacks").await;
        let text = answer.header("ratelimit").unwrap().to_owned();
        let (_, rest) = text.split_once("r=").unwrap();
        rest.split(';').next().unwrap().parse::<u32>().unwrap()
    };
    // Each replica counts what the others accept from its first report on.
    assert!(remaining(&here).await >= 9_999);
    world.database.when("from api_key_usage where requests = 1").await;
    world.database.run("update api_key_usage set requests = requests + 5000").await;
    eventually("what was accepted elsewhere", async || {
        let left = remaining(&here).await;
        if left < 6_000 { Ok(()) } else { Err(left.to_string()) }
    })
    .await;
    remaining(&there).await;
    let list = keys_command(&world, &["list", "--json"]).await.0;
    let keys: Vec<Value> = list.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(keys[0]["lastUsedAt"].is_string() && keys[0]["rate"] == "10000/h", "{list}");
    let table = keys_command(&world, &["list"]).await.0;
    assert!(table.starts_with("ID ") && table.contains("LAST USE") && table.contains("10000/h"), "{table}");
    second.kill().await;
    world.end().await;
}
