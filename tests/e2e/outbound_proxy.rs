//! Requests go through `OUTBOUND_PROXY_URL`, and through no other proxy.

use serde_json::json;

use crate::support::{Cxone, Database, Receiver, Service, World, create_key, http_client, payload};

/// Nothing listens there.
const CLOSED: &str = "http://127.0.0.1:1";

#[tokio::test]
async fn the_proxies_of_the_environment_are_ignored() {
    let receiver = Receiver::start(&[]).await;
    let proxies = ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
    let mut settings = proxies.map(|name| (name, CLOSED)).to_vec();
    settings.extend([("NO_PROXY", ""), ("no_proxy", "")]);
    let world = World::of_webhooks(&settings).await;
    world.hook_at(&receiver).await;

    let (status, callback) = world.ask(&payload()).await;

    assert_eq!((status, &callback["status"]), (201, &json!("scheduled")));
    receiver.received_when(1).await;
    world.end().await;
}

/// No resolver knows the name of this CXone: only a proxy can reach it. The simulator is the proxy, too.
#[tokio::test]
async fn requests_to_cxone_go_through_the_configured_proxy_which_resolves_its_name() {
    let (database, cxone) = (Database::create().await, Cxone::start().await);
    let proxy = cxone.base_url.replace("http://", "http://ringback:hush-hush@");
    let settings = [
        ("CXONE_BASE_URL", "http://cxone.invalid"),
        ("CXONE_ALLOW_HTTP", "true"),
        ("OUTBOUND_PROXY_URL", proxy.as_str()),
        ("NO_PROXY", "*"),
    ];
    let service = Service::start(&database, &cxone, &settings).await;
    let key = create_key(&database, &["callbacks:write"]).await;
    let world = World { database, cxone, service, key, http: http_client() };

    let (status, callback) = world.ask(&payload()).await;

    assert_eq!((status, &callback["status"]), (201, &json!("scheduled")));
    assert!(!world.cxone.received("token").await.is_empty());
    let World { database, service, .. } = world;
    assert!(!service.log_at_end().await.contains("hush-hush"));
    database.drop().await;
}
