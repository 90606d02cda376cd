//! Nothing that is printed has a phone number or a secret, at any level of the log.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{
    CALLER, DIALING, ENCRYPTION_KEY, IdentityProvider, Receiver, TokenKey, World, pause, payload, payload_with, text,
};

const SIGNING_KEY: &str = "BAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const HASH_KEY: &str = "CAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// Requests that go through all slices, some of them refused by CXone. Returns the secret of a webhook.
async fn work(world: &World, receiver: &Receiver) -> String {
    let hook = world.hook(json!({"url": receiver.url})).await;
    let rejection = json!({"route": "contact", "kind": "status", "status": 400, "times": 1,
        "body": {"error_description": "blocked: +12025550198, (202) 555-0198"}});
    world.cxone.fault(rejection).await;
    world.ask(&payload()).await;
    world.ask(&payload()).await;
    world.ask(&payload_with(json!({"phoneNumber": "(202) 555-0123", "campaignId": DIALING}))).await;
    world.ask(&payload_with(json!({"phoneNumber": "tel 202-555-0198 now"}))).await;
    world.batch(&[payload_with(json!({"phoneNumber": "+1 202 555 0145"}))]).await;
    world.get("/v1/callbacks?phoneNumber=2025550198").await;
    world.send(Method::GET, "/2025550198/%2B12025550198").await;
    world.command("pause", &pause()).await;
    world.report(&world.service.base_url, 100, 1).await;
    let sent = |sent: &[Value]| sent.len() >= 3 && sent.iter().all(|sent| sent["status"] == "succeeded");
    world.deliveries_when(&text(&hook, "id"), sent).await;
    world.post("/v1/privacy/erase", &json!({"phoneNumber": "(202) 555-0198"})).await;
    world.send(Method::GET, "/v1/privacy/export?phoneNumber=2025550198").await;
    let refused = world.http.get(format!("{}/v1/callbacks", world.service.base_url)).bearer_auth("rb_unknown-key-4711");
    assert_eq!(refused.send().await.unwrap().status(), 401);
    world.send(Method::GET, "/healthz").await;
    text(&hook, "secret")
}

/// Tokens of which one is accepted. Returns them.
async fn send_tokens(world: &World, provider: &IdentityProvider, key: &TokenKey) -> [String; 2] {
    let subject = json!({"sub": format!("sms|{CALLER}")});
    let tokens = [provider.token(key, subject.clone()), provider.token(&TokenKey::new("other"), subject)];
    for (token, status) in tokens.iter().zip([200, 401]) {
        let request = world.http.get(format!("{}/v1/callbacks", world.service.base_url)).bearer_auth(token);
        assert_eq!(request.send().await.unwrap().status(), status);
    }
    tokens
}

#[tokio::test]
async fn nothing_printed_at_any_level_has_a_phone_number_or_a_secret() {
    let everything = "trace,rlibphonenumber=trace,hyper=trace,reqwest=trace,sqlx=trace,rustls=trace,h2=trace";
    let settings = [("RUST_LOG", everything), ("AUDIT_SIGNING_KEY", SIGNING_KEY), ("AUDIT_HASH_KEY", HASH_KEY)];
    let key = TokenKey::new("first");
    let provider = IdentityProvider::start(&[&key]).await;
    let world = World::of_webhooks(&[&settings[..], &provider.settings()[..]].concat()).await;
    let receiver = Receiver::start(&[]).await;
    let webhook_secret = work(&world, &receiver).await;
    let bearer_tokens = send_tokens(&world, &provider, &key).await;
    let sent = receiver.received();
    let signatures = sent.iter().map(|sent| sent.headers["webhook-signature"].clone());
    let mut secrets: Vec<String> = signatures.collect();
    let tokens = ["simulator-secret", "rb_unknown-key-4711", ENCRYPTION_KEY, SIGNING_KEY, HASH_KEY];
    secrets.extend(tokens.map(str::to_owned));
    secrets.extend(bearer_tokens.iter().flat_map(|token| token.split('.').skip(1)).map(str::to_owned));
    secrets.extend([
        STANDARD.encode("simulator:simulator-secret"),
        webhook_secret.replace("whsec_", ""),
        world.key.clone(),
    ]);
    let World { service, database, .. } = world;

    let printed = service.printed_at_end().await;

    assert!(printed.contains(r#""level":"DEBUG""#), "{printed}");
    // In each format, the last digits are in one piece or in two.
    let numbers = [CALLER, "5550198", "555-0198", "555 0198", "5550123", "555-0123", "5550145", "555 0145"];
    for secret in numbers.into_iter().chain(secrets.iter().map(String::as_str)) {
        let line = printed.lines().find(|line| line.contains(secret));
        assert_eq!(line, None, "{secret} was printed");
    }
    // Tokens of CXone and keys, whatever they are.
    for line in printed.lines() {
        assert!(!line.contains("Bearer ") && !line.contains("access_token"), "{line}");
    }
    database.drop().await;
}
