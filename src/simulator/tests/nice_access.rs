//! Tokens, discovery, and the rules that all services share.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Method;
use serde_json::{Value, json};

use super::nice::{SERVICES, SKILL, reason};
use super::{CAMPAIGN, Settings, TestServer, body, sent};
use crate::simulator::Api;

const ACCESS_KEY: &str = "/authentication/v1/token/access-key";

/// The payload of a token.
fn claims(token: &Value) -> Value {
    let payload = token.as_str().expect("a token").split('.').nth(1).expect("a payload");
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).expect("base64url")).expect("JSON")
}

#[tokio::test]
async fn an_access_key_gets_a_token_whose_claims_lead_to_the_api() {
    let server = TestServer::nice().await;
    let key = |secret| json!({ "accessKeyId": "simulator", "accessKeySecret": secret });
    let answer = body(server.post(ACCESS_KEY, key("simulator-secret")).await, 200).await;
    assert_eq!((&answer["token_type"], &answer["expires_in"]), (&json!("Bearer"), &json!(1800)));
    let claims = (claims(&answer["access_token"]), claims(&answer["id_token"]));
    assert_eq!((&claims.0["iss"], &claims.0["tenantId"]), (&json!(server.base), &claims.1["tenantId"]));

    let path = |tenant: &str| format!("/.well-known/cxone-configuration?tenantId={tenant}");
    let tenant = claims.1["tenantId"].as_str().expect("a tenant");
    let found = body(sent(server.client.get(format!("{}{}", server.base, path(tenant)))).await, 200).await;
    assert_eq!((&found["api_endpoint"], &found["area"]), (&json!(server.base), &json!("na1")));
    body(server.get(&path("other")).await, 404).await;

    body(server.post(ACCESS_KEY, key("wrong")).await, 401).await;
    body(server.post(ACCESS_KEY, json!({ "accessKeyId": "simulator" })).await, 400).await;
    let shown = json!(server.list("received").await).to_string();
    assert!(!shown.contains("simulator-secret") && !shown.contains("wrong"), "{shown}");
}

#[tokio::test]
async fn a_registered_client_gets_a_token_by_password() {
    let server = TestServer::nice().await;
    let openid = body(server.get("/.well-known/openid-configuration").await, 200).await;
    let url = openid["token_endpoint"].as_str().expect("an address");
    let grant = [("grant_type", "password"), ("username", "simulator"), ("password", "simulator-secret")];
    let wrong = [("grant_type", "password"), ("username", "simulator"), ("password", "hush")];
    let post =
        |secret, form: &[(&str, &str)]| sent(server.client.post(url).basic_auth("simulator", Some(secret)).form(form));
    let answer = body(post("simulator-secret", &grant).await, 200).await;
    assert!(answer["id_token"].is_string(), "{answer}");
    let refusals = [
        ("hush", &grant[..], 401, "invalid_client"),
        ("simulator-secret", &wrong[..], 401, "invalid_grant"),
        ("simulator-secret", &[("grant_type", "client_credentials")][..], 400, "unsupported_grant_type"),
        ("simulator-secret", &[("scope", "x")][..], 400, "invalid_request"),
    ];
    for (secret, form, status, error) in refusals {
        let refused = body(post(secret, form).await, status).await;
        assert_eq!(refused["error"], error);
        assert!(refused["errorDescription"].is_string(), "{refused}");
    }
    let shown = json!(server.list("received?route=token").await).to_string();
    assert!(!shown.contains("hush") && !shown.contains("simulator-secret"), "{shown}");
}

#[tokio::test]
async fn services_need_a_token_json_and_a_version_that_works_and_ignore_case() {
    let server = TestServer::nice().await;
    let path = format!("{SERVICES}/skills/{SKILL}");
    let any = server.request(Method::GET, &path).header("accept", "*/*");
    for request in [server.request(Method::GET, &path), any] {
        let refused = sent(request).await;
        assert_eq!(reason(&refused), "No known way to render data");
        body(refused, 406).await;
    }
    let client = server.client.get(format!("{}{path}", server.base)).header("accept", "application/json");
    body(sent(client).await, 401).await;

    let cases = [
        ("/inContactAPI/services/v12.0/Skills/4001", 200),
        ("/InContactApi/Services/V34.0/skills/4001", 200),
        ("/incontactapi/services/v11.0/skills/4001", 404),
        ("/incontactapi/services/v33/skills/4001", 404),
        ("/incontactapi/services/v/skills/4001", 404),
        ("/incontactapi/services/v33.0/skill/4001", 404),
    ];
    for (path, status) in cases {
        let request = server.request(Method::GET, path).header("accept", "application/json");
        body(sent(request).await, status).await;
    }
    let received = server.list("received?route=campaignRead").await;
    assert_eq!(received.last().expect("a request")["path"], "/InContactApi/Services/V34.0/skills/4001");
    let answer = server.read("business-unit").await;
    assert_eq!(reason(&answer), "Success");
    assert_eq!(body(answer, 200).await["businessUnits"][0]["defaultTimeZone"], "Eastern Standard Time");
}

#[tokio::test]
async fn each_api_is_served_only_where_it_is_chosen_and_has_its_own_tokens() {
    let services = format!("{SERVICES}/business-unit");
    for (api, v2, nice) in [(Api::V2, 200, 404), (Api::Both, 200, 403)] {
        let server = TestServer::with(Settings { api, ..Settings::default() }).await;
        body(server.get(CAMPAIGN).await, v2).await;
        body(server.get(&services).await, nice).await;
    }
    let server = TestServer::nice().await;
    body(server.get(CAMPAIGN).await, 404).await;
    body(server.read("business-unit").await, 200).await;
}

#[tokio::test]
async fn over_the_quota_no_wait_is_named_and_expired_tokens_are_refused() {
    let server = TestServer::nice().await;
    body(server.post("/_control/tokens/expire", Value::Null).await, 204).await;
    body(server.read("server-time").await, 401).await;
    body(server.put("/_control/limits", json!({ "requestsPerMinute": 1 })).await, 204).await;
    let refused = server.read("server-time").await;
    assert!(!refused.headers().contains_key("retry-after"), "{refused:?}");
    body(refused, 429).await;
}
