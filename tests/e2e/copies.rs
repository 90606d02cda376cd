//! Replicas keep copies of API keys and settings, and notice every change.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{
    CAMPAIGN, Cxone, Database, Loss, Proxy, Service, create_key, eventually, http_client, payload_from,
};

/// The statement with which a replica checks that notifications arrive.
const HEARTBEAT: &str = "select pg_notify";

/// Two replicas of one database.
struct Replicas {
    database: Database,
    _cxone: Cxone,
    services: [Service; 2],
    key: String,
}

impl Replicas {
    async fn start(settings: &[(&str, &str)]) -> Self {
        let (database, cxone) = (Database::create().await, Cxone::start().await);
        Self::on(database, cxone, settings).await
    }

    async fn on(database: Database, cxone: Cxone, settings: &[(&str, &str)]) -> Self {
        let services =
            [Service::start(&database, &cxone, settings).await, Service::start(&database, &cxone, settings).await];
        let key = create_key(&database, &["callbacks:write", "campaigns:write"]).await;
        let replicas = Self { database, _cxone: cxone, services, key };
        // Both replicas have copies now.
        for (n, status) in replicas.post_to_each(0).await.into_iter().enumerate() {
            assert_eq!(status, 202, "{n}");
        }
        replicas
    }

    /// The status of a new callback at each replica.
    async fn post_to_each(&self, first: usize) -> [u16; 2] {
        let mut statuses = [0; 2];
        for (n, service) in self.services.iter().enumerate() {
            let url = format!("{}/v1/callbacks", service.base_url);
            let request = http_client().post(url).bearer_auth(&self.key).header("prefer", "respond-async");
            statuses[n] = request.json(&payload_from(first + n)).send().await.unwrap().status().as_u16();
        }
        statuses
    }

    /// Returns when both replicas answer with this status. Each attempt is for other numbers.
    async fn each_answers(&self, status: u16) {
        let attempts = std::sync::atomic::AtomicUsize::new(1);
        eventually(&format!("status {status}"), async || {
            let first = 10 * attempts.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let statuses = self.post_to_each(first).await;
            if statuses == [status; 2] { Ok(()) } else { Err(format!("{statuses:?}")) }
        })
        .await;
    }

    async fn put_settings(&self, settings: &Value) {
        let url = format!("{}/v1/campaigns/{CAMPAIGN}/settings", self.services[0].base_url);
        let answer =
            http_client().request(Method::PUT, url).bearer_auth(&self.key).json(settings).send().await.unwrap();
        assert!(answer.status().is_success(), "{answer:?}");
    }

    async fn end(self) {
        let Self { database, services, .. } = self;
        for service in services {
            service.kill().await;
        }
        database.drop().await;
    }

    /// Settings and keys that change are in force at both replicas.
    async fn assert_changes_are_noticed(self) {
        let closed = json!({"timezone": "UTC", "days": []});
        self.put_settings(&json!({"businessHours": closed})).await;
        self.each_answers(422).await;
        self.put_settings(&json!({})).await;
        self.each_answers(202).await;
        self.database.run("update api_keys set revoked_at = now()").await;
        self.each_answers(401).await;
        self.database.run("update api_keys set revoked_at = null").await;
        self.each_answers(202).await;
        self.database.run("update api_keys set expires_at = now() + interval '1 second'").await;
        self.each_answers(401).await;
        self.end().await;
    }
}

#[tokio::test]
async fn a_changed_key_or_setting_is_in_force_at_every_replica() {
    Replicas::start(&[]).await.assert_changes_are_noticed().await;
}

#[tokio::test]
async fn a_changed_key_or_setting_is_in_force_while_no_notifications_arrive() {
    let (database, cxone) = (Database::create().await, Cxone::start().await);
    let proxy = Proxy::to(&database).await;
    proxy.lose(Loss::Statement, HEARTBEAT);
    let replicas = Replicas::on(database, cxone, &[("DATABASE_DIRECT_URL", proxy.url.as_str())]).await;
    proxy.lost_when(2).await;
    replicas.assert_changes_are_noticed().await;
}
