//! Behind a pooler in transaction mode, with `DATABASE_DIRECT_URL`, everything works as without it.

use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::support::{
    BINARY, Cxone, DIALING, Database, PgBouncer, Service, create_key, eventually, http_client, pause, payload_from,
    serve,
};

/// A pooler drops the limits that the service asks for: they are set for the role, as `docs/scaling.md` says.
const LIMITS: [&str; 3] =
    ["statement_timeout = '5s'", "lock_timeout = '2s'", "idle_in_transaction_session_timeout = '1500ms'"];

/// Two replicas behind a pooler with fewer connections than they have.
struct Replicas {
    database: Database,
    _cxone: Cxone,
    _pooler: PgBouncer,
    services: [Service; 2],
    key: String,
}

impl Replicas {
    async fn start() -> Option<Self> {
        let (database, cxone) = (Database::create().await, Cxone::start().await);
        for limit in LIMITS {
            database
                .run(&format!("alter role current_user in database \"{}\" set {limit}", name_of(&database).await))
                .await;
        }
        let pooler = PgBouncer::start(&database).await?;
        let settings = [("DATABASE_DIRECT_URL", database.url.as_str())];
        let start = || Service::at(&pooler.url, &cxone, &settings);
        let services = [start().await, start().await];
        let scopes = ["callbacks:write", "callbacks:read", "campaigns:write", "campaigns:read", "audit:read"];
        let key = create_key(&database, &scopes).await;
        Some(Self { database, _cxone: cxone, _pooler: pooler, services, key })
    }

    /// The status and the body of an answer of a replica.
    async fn send(&self, replica: usize, method: Method, path: &str, body: Option<Value>) -> (u16, Value) {
        let request = http_client().request(method, format!("{}{path}", self.services[replica].base_url));
        let request = request.bearer_auth(&self.key);
        let answer = body.map_or(request.try_clone().unwrap(), |body| request.json(&body)).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    async fn ends_scheduled(&self, n: usize) {
        let (status, accepted) = self.send(n % 2, Method::POST, "/v1/callbacks", Some(payload_from(n))).await;
        assert!([201, 202].contains(&status), "{status} {accepted}");
        let path = format!("/v1/callbacks/{}", accepted["id"].as_str().unwrap());
        eventually("a scheduled callback with its SMS", async || {
            let (_, callback) = self.send((n + 1) % 2, Method::GET, &path, None).await;
            let states = (callback["status"].as_str(), callback["confirmation"]["status"].as_str());
            if states == (Some("scheduled"), Some("sent")) { Ok(()) } else { Err(callback.to_string()) }
        })
        .await;
    }

    /// Connections to Postgres of this name.
    async fn connections(&self, name: &str) -> i64 {
        let count = sqlx::query_scalar(
            "select count(*) from pg_stat_activity where datname = current_database() and application_name = $1",
        );
        count.bind(name).fetch_one(&self.database.pool).await.unwrap()
    }
}

async fn name_of(database: &Database) -> String {
    sqlx::query_scalar("select current_database()::text").fetch_one(&database.pool).await.unwrap()
}

#[tokio::test]
async fn callbacks_pauses_and_keys_work_behind_pgbouncer_in_transaction_mode() {
    let Some(replicas) = Replicas::start().await else { return };
    join_all((0..20).map(|n| replicas.ends_scheduled(n))).await;

    let campaign = format!("/v1/campaigns/{DIALING}");
    let (status, paused) = replicas.send(0, Method::POST, &format!("{campaign}/pause"), Some(pause())).await;
    assert!([200, 202].contains(&status), "{status} {paused}");
    eventually("a paused campaign at the other replica", async || {
        let (_, seen) = replicas.send(1, Method::GET, &campaign, None).await;
        if seen["state"] == "PAUSED" { Ok(()) } else { Err(seen.to_string()) }
    })
    .await;
    // The audit log is read on connections of its own, with settings that a pooler cannot carry.
    assert_eq!(replicas.send(1, Method::GET, "/v1/audit?limit=5", None).await.0, 200);
    assert!((1..=PgBouncer::SERVER_CONNECTIONS).contains(&replicas.connections("ringback").await));
    eventually("connections for notifications", async || match replicas.connections("ringback-notifications").await {
        2 => Ok(()),
        other => Err(other.to_string()),
    })
    .await;

    replicas.database.run("update api_keys set revoked_at = now()").await;
    eventually("the revoked key is refused by both", async || {
        let statuses = [
            replicas.send(0, Method::GET, &campaign, None).await.0,
            replicas.send(1, Method::GET, &campaign, None).await.0,
        ];
        if statuses == [401, 401] { Ok(()) } else { Err(format!("{statuses:?}")) }
    })
    .await;
    let Replicas { database, services, .. } = replicas;
    for service in services {
        let log = service.printed_at_end().await;
        for bad in ["prepared statement", "does not limit"] {
            assert!(!log.contains(bad), "{bad}: {log}");
        }
    }
    database.drop().await;
}

#[tokio::test]
async fn the_doctor_names_the_limits_that_a_pooler_drops() {
    let (database, cxone) = (Database::create().await, Cxone::start().await);
    let Some(pooler) = PgBouncer::start(&database).await else { return };
    let service = serve(&pooler.url, &cxone.base_url, &[("DATABASE_DIRECT_URL", &database.url)]);
    let variables = service.as_std().get_envs().filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())));
    let output = Command::new(BINARY).args(["doctor", "--json"]).envs(variables).output().await.unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let limits = report["checks"].as_array().unwrap().iter().find(|check| check["check"] == "limits").unwrap();
    let found = "not set: idle_in_transaction_session_timeout, lock_timeout, statement_timeout";
    assert_eq!((&limits["status"], &limits["found"]), (&json!("warn"), &json!(found)));
    database.drop().await;
}
