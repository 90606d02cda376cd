//! Tokens of an identity provider in place of API keys.

use reqwest::Method;
use serde_json::{Value, json};

use crate::listeners::doctor;
use crate::support::{
    Answer, CAMPAIGN, DIALING, IdentityProvider, TokenKey, World, eventually, in_ms, payload, payload_with,
};

/// Sends a request with a token.
async fn send(world: &World, token: &str, method: Method, path: &str, body: Option<&Value>) -> Answer {
    let request = world.http.request(method, format!("{}{path}", world.service.base_url)).bearer_auth(token);
    Answer::to(if let Some(body) = body { request.json(body) } else { request }).await
}

async fn list(world: &World, token: &str) -> Answer {
    send(world, token, Method::GET, "/v1/callbacks", None).await
}

#[tokio::test]
async fn a_token_allows_what_its_claims_are_mapped_to_and_the_audit_log_names_its_subject() {
    let key = TokenKey::new("first");
    let provider = IdentityProvider::start(&[&key]).await;
    let world = World::with(&provider.settings()).await;
    let (token, callback) = (|members: Value| provider.token(&key, members), payload());
    let ask = async |token: &str| {
        let request = world.http.post(format!("{}/v1/callbacks", world.service.base_url)).bearer_auth(token);
        Answer::to(request.header("idempotency-key", "once").json(&callback)).await
    };

    let first = ask(&token(json!({}))).await;
    let newer = ask(&token(json!({"exp": 4_000_000_000_i64}))).await;
    assert!([201, 202].contains(&first.status) && first.header("ratelimit").is_none(), "{first:?}");
    assert_eq!((newer.header("idempotency-replayed"), &newer.body["id"]), (Some("true"), &first.body["id"]));
    let other = ask(&token(json!({"sub": "sms|+12025550198"}))).await;
    assert_eq!(other.problem(), (409, "duplicate-callback"));

    let entries = world.get("/v1/audit?actor=ivr-1&action=callback.accepted").await;
    let actor = &entries["data"][0]["actor"];
    assert_eq!((&actor["type"], &actor["name"]), (&json!("oidc_subject"), &json!("ivr-1")), "{entries}");
    let refused = world.get("/v1/audit?action=request.refused").await;
    assert_eq!(refused["data"][0]["actor"]["name"], "sms|+•••", "{refused}");

    let nothing = list(&world, &token(json!({"scope": "openid callbacks:read"}))).await;
    assert_eq!((nothing.problem(), &nothing.body["scope"]), ((403, "forbidden"), &json!("callbacks:read")));
    assert_eq!(nothing.body["detail"], "this token lacks the scope callbacks:read");
    let restricted = token(json!({"ringback_campaigns": [CAMPAIGN]}));
    assert_eq!(list(&world, &restricted).await.body["data"].as_array().unwrap().len(), 1);
    let elsewhere = payload_with(json!({"campaignId": DIALING}));
    let refused = send(&world, &restricted, Method::POST, "/v1/callbacks", Some(&elsewhere)).await;
    assert_eq!(refused.problem(), (403, "campaign-not-allowed"));
    assert_eq!(world.ask(&elsewhere).await.0, 201);
    world.end().await;
}

#[tokio::test]
async fn a_token_that_is_not_valid_is_refused_with_the_reason() {
    let (key, same_id) = (TokenKey::new("first"), TokenKey::new("first"));
    let provider = IdentityProvider::start(&[&key]).await;
    let world = World::with(&provider.settings()).await;
    let long_ago = jiff::Timestamp::now().as_second() - 60;
    let hs256 = json!({"alg": "HS256", "kid": "first"});
    for (token, reason) in [
        (provider.token(&key, json!({"exp": long_ago})), "expired"),
        (provider.token(&key, json!({"nbf": long_ago + 3600})), "not valid yet"),
        (provider.token(&key, json!({"aud": "other"})), "another audience"),
        (provider.token(&key, json!({"iss": "https://id.example"})), "another issuer"),
        (provider.token(&key, json!({"sub": null})), "must have the claims"),
        (key.sign(&json!({"alg": "none"}), &provider.claims(json!({}))), "algorithm"),
        (key.sign(&hs256, &provider.claims(json!({}))), "algorithm"),
        (provider.token(&same_id, json!({})), "signature"),
        (provider.token(&TokenKey::new("other"), json!({})), "does not have"),
        ("no-key-and-no-token".to_owned(), "neither an API key nor"),
    ] {
        let answer = list(&world, &token).await;
        assert_eq!(answer.problem(), (401, "unauthorized"), "{reason}");
        assert!(answer.body["detail"].as_str().unwrap().contains(reason), "{answer:?}");
        let challenge = "Bearer realm=\"ringback\", error=\"invalid_token\"";
        assert_eq!(answer.header("www-authenticate"), Some(challenge), "{reason}");
    }
    let unknown_key = list(&world, "rbk_unknown").await;
    assert_eq!((unknown_key.status, unknown_key.header("www-authenticate")), (401, Some("Bearer realm=\"ringback\"")));
    assert_eq!(world.get("/v1/audit?action=request.refused").await["data"][0]["actor"]["type"], "anonymous");
    world.end().await;
}

#[tokio::test]
async fn a_token_creates_only_keys_that_end_before_it_expires() {
    let key = TokenKey::new("first");
    let provider = IdentityProvider::start(&[&key]).await;
    let world = World::with(&provider.settings()).await;
    let admin = provider.token(&key, json!({"scope": "admin"}));
    let create = async |members: Value| {
        let mut request = json!({"name": "child", "scopes": ["audit:read"], "expiresAt": in_ms(60_000)});
        request.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        let answer = send(&world, &admin, Method::POST, "/v1/keys", Some(&request)).await;
        (answer.status, answer.body["exceeded"].clone())
    };
    assert_eq!(create(json!({})).await, (201, Value::Null));
    assert_eq!(create(json!({"scopes": ["callbacks:read"]})).await, (403, json!(["scopes"])));
    assert_eq!(create(json!({"expiresAt": in_ms(600_000)})).await, (403, json!(["expiresAt"])));
    assert_eq!(create(json!({"expiresAt": null})).await, (403, json!(["expiresAt"])));
    world.end().await;
}

#[tokio::test]
async fn new_keys_of_the_provider_are_followed_and_known_ones_are_used_while_it_is_down() {
    let (first, second, third) = (TokenKey::new("first"), TokenKey::new("second"), TokenKey::new("third"));
    let provider = IdentityProvider::start(&[&first]).await;
    let world = World::with(&provider.settings()).await;
    let old = provider.token(&first, json!({}));
    assert_eq!(list(&world, &old).await.status, 200);

    provider.publish(&[&second]);
    let answered = async |token: &str, status: u16| {
        eventually(&format!("the answer {status}"), async || {
            let answer = list(&world, token).await;
            if answer.status == status { Ok(answer) } else { Err(format!("{answer:?}")) }
        })
        .await
    };
    answered(&provider.token(&second, json!({})), 200).await;
    assert_eq!(list(&world, &old).await.status, 401);

    let healthy = doctor(&world, &provider.settings()).await;
    let report = String::from_utf8_lossy(&healthy.stdout);
    assert!(healthy.status.success() && report.contains("verify tokens: 1"), "{report}");
    provider.go_down();
    let unknown = answered(&provider.token(&third, json!({})), 503).await;
    assert_eq!((unknown.problem(), unknown.header("retry-after")), ((503, "unavailable"), Some("5")));
    assert_eq!(list(&world, &provider.token(&second, json!({"sub": "another"}))).await.status, 200);
    assert_eq!(world.ask(&payload()).await.0, 201);
    let sick = doctor(&world, &provider.settings()).await;
    assert!(String::from_utf8_lossy(&sick.stdout).contains("502") && !sick.status.success(), "{sick:?}");
    world.end().await;
}
