//! Signing in to the console at the identity provider.

use std::collections::HashMap;

use reqwest::Url;
use serde_json::{Value, json};

use crate::support::{Browser, IdentityProvider, Page, TokenKey, World, eventually};

const ADDRESS: &str = "http://localhost:8080";

async fn world_of(provider: &IdentityProvider) -> World {
    let client =
        [("CONSOLE_OIDC_CLIENT_ID", "console"), ("CONSOLE_OIDC_CLIENT_SECRET", "hush"), ("CONSOLE_URL", ADDRESS)];
    World::with(&[&provider.settings()[..], &client].concat()).await
}

/// The parameters with which the provider gets the browser.
async fn begin(browser: &Browser) -> HashMap<String, String> {
    let start = browser.get("/console/oidc/start?next=%2Fconsole%2Faudit").await;
    let url = Url::parse(start.location()).unwrap();
    let cookie = start.header("set-cookie").unwrap();
    assert!(cookie.starts_with("__Host-ringback-oidc=") && cookie.contains("SameSite=Lax"), "{cookie}");
    assert!(url.path().ends_with("/authorize"), "{url}");
    url.query_pairs().into_owned().collect()
}

/// Lets the person sign in at the provider, and returns to the console.
async fn finish(provider: &IdentityProvider, key: &TokenKey, browser: &Browser, claims: Value) -> Page {
    let asked = begin(browser).await;
    assert_eq!((asked["client_id"].as_str(), asked["code_challenge_method"].as_str()), ("console", "S256"));
    assert_eq!(asked["redirect_uri"], format!("{ADDRESS}/console/oidc/callback"));
    let mut members = json!({"aud": "console", "nonce": asked["nonce"], "sub": "ada", "scope": "admin"});
    members.as_object_mut().unwrap().extend(claims.as_object().unwrap().clone());
    provider.grant("code-1", &asked["code_challenge"], provider.token(key, members));
    browser.get(&format!("/console/oidc/callback?code=code-1&state={}", asked["state"])).await
}

#[tokio::test]
async fn a_person_signs_in_at_the_provider_and_the_audit_log_has_their_name() {
    let key = TokenKey::new("first");
    let provider = IdentityProvider::start(&[&key]).await;
    let world = world_of(&provider).await;
    let browser = Browser::new(&world.service.base_url);
    assert!(browser.get("/console/sign-in").await.has("/console/oidc/start"));
    let page = finish(&provider, &key, &browser, json!({})).await;
    // Not a redirect, on which the browser would not send the new cookie.
    assert!(page.status == 200 && page.has("content=\"0; url=/console/audit\""), "{page:?}");
    let overview = browser.get("/console").await;
    assert!(overview.has(">ada</p>") && overview.has("/console/audit") && !overview.has("/console/campaigns"));
    let select = "select actor_type || ' ' || actor_name || ' ' || (detail ->> 'method') from audit_entries
        where action = 'console.signed_in'";
    let recorded: String = sqlx::query_scalar(select).fetch_one(&world.database.pool).await.unwrap();
    assert_eq!(recorded, "oidc_subject ada oidc");
    assert_eq!(browser.cookie("__Host-ringback-oidc"), None);
    world.end().await;
}

#[tokio::test]
async fn an_answer_that_is_not_for_this_sign_in_signs_nobody_in() {
    let (key, other) = (TokenKey::new("first"), TokenKey::new("first"));
    let provider = IdentityProvider::start(&[&key]).await;
    let world = world_of(&provider).await;
    for (claims, status) in [
        (json!({"nonce": "another"}), 401),
        (json!({"aud": "ringback"}), 401),
        (json!({"exp": 1}), 401),
        (json!({"scope": "nothing"}), 403),
    ] {
        let browser = Browser::new(&world.service.base_url);
        let page = finish(&provider, &key, &browser, claims.clone()).await;
        assert_eq!((page.status, browser.cookie("__Host-ringback-session")), (status, None), "{claims}: {page:?}");
    }
    let browser = Browser::new(&world.service.base_url);
    assert_eq!(finish(&provider, &other, &browser, json!({})).await.status, 401);
    let asked = begin(&browser).await;
    assert_eq!(browser.get("/console/oidc/callback?code=code-1&state=other").await.status, 401);
    let callback = format!("/console/oidc/callback?code=code-1&state={}", asked["state"]);
    assert_eq!(Browser::new(&world.service.base_url).get(&callback).await.status, 401);
    let denied = format!("/console/oidc/callback?error=access_denied&state={}", asked["state"]);
    assert!(browser.get(&denied).await.has("did not sign you in"));
    world.end().await;
}

#[tokio::test]
async fn without_a_client_at_the_provider_there_is_no_sign_in_there() {
    let provider = IdentityProvider::start(&[&TokenKey::new("first")]).await;
    let world = World::with(&provider.settings()).await;
    let browser = Browser::new(&world.service.base_url);
    assert!(!browser.get("/console/sign-in").await.has("oidc"));
    assert_eq!(browser.get("/console/oidc/start").await.status, 404);
    world.end().await;
    let world = world_of(&provider).await;
    provider.go_down();
    eventually("the failure", async || {
        let page = Browser::new(&world.service.base_url).get("/console/oidc/start").await;
        if page.status == 503 { Ok(()) } else { Err(format!("{page:?}")) }
    })
    .await;
    world.end().await;
}
