//! An OpenID Connect provider, with its keys and tokens.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use axum::{Json, Router};
use axum_extra::extract::Form;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use parking_lot::Mutex;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::net::TcpListener;

const MAPPING: &str = r#"{"ivr": "callbacks:write callbacks:read", "admin": "keys:write audit:read"}"#;

/// What a code stands for: the challenge of PKCE, and the token.
type Granted = (String, String);

/// The members of a request for a token.
#[derive(Deserialize)]
struct TokenRequest {
    grant_type: String,
    code: String,
    code_verifier: String,
    redirect_uri: String,
}

/// Listens on a loopback address until it is dropped.
pub struct IdentityProvider {
    pub issuer: String,
    keys: Arc<Mutex<Vec<Value>>>,
    is_down: Arc<AtomicBool>,
    codes: Arc<Mutex<HashMap<String, Granted>>>,
    task: tokio::task::JoinHandle<()>,
}

impl IdentityProvider {
    /// With these keys.
    pub async fn start(keys: &[&TokenKey]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}/realms/a", listener.local_addr().unwrap());
        let (published, is_down) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let description = json!({"issuer": issuer, "jwks_uri": format!("{issuer}/keys"), "scopes_supported": ["openid"],
            "authorization_endpoint": format!("{issuer}/authorize"), "token_endpoint": format!("{issuer}/token")});
        let codes: Arc<Mutex<HashMap<String, Granted>>> = Arc::default();
        let known = Arc::clone(&codes);
        let answer = |down: &AtomicBool, body: Value| {
            if down.load(Ordering::Relaxed) { Err(StatusCode::BAD_GATEWAY) } else { Ok(Json(body)) }
        };
        let (down, also_down, listed) = (Arc::clone(&is_down), Arc::clone(&is_down), Arc::clone(&published));
        let router = Router::new()
            .route("/realms/a/.well-known/openid-configuration", get(async move || answer(&down, description)))
            .route(
                "/realms/a/token",
                post(async move |headers: HeaderMap, Form(request): Form<TokenRequest>| {
                    answer_code(&known, &headers, &request).map(|token| Json(json!({ "id_token": token })))
                }),
            )
            .route("/realms/a/keys", get(async move || answer(&also_down, json!({"keys": *listed.lock()}))));
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        let provider = Self { issuer, keys: published, is_down, codes, task };
        provider.publish(keys);
        provider
    }

    /// Has these keys from now on.
    pub fn publish(&self, keys: &[&TokenKey]) {
        *self.keys.lock() = keys.iter().map(|key| key.jwk()).collect();
    }

    /// Gives this token once for the code, to who knows the text of which this is the challenge.
    pub fn grant(&self, code: &str, challenge: &str, token: String) {
        self.codes.lock().insert(code.to_owned(), (challenge.to_owned(), token));
    }

    /// Answers 502 from now on.
    pub fn go_down(&self) {
        self.is_down.store(true, Ordering::Relaxed);
    }

    /// The settings of a service that believes it.
    pub fn settings(&self) -> [(&str, &str); 3] {
        [("OIDC_ISSUER", &self.issuer), ("OIDC_AUDIENCE", "ringback"), ("OIDC_SCOPES", MAPPING)]
    }

    /// A token that is valid for five minutes, with further claims.
    pub fn token(&self, key: &TokenKey, members: Value) -> String {
        key.sign(&json!({"alg": "ES256", "kid": key.id}), &self.claims(members))
    }

    /// The claims of such a token.
    pub fn claims(&self, members: Value) -> Value {
        let expires = jiff::Timestamp::now().as_second() + 300;
        let mut claims =
            json!({"iss": self.issuer, "aud": "ringback", "sub": "ivr-1", "exp": expires, "scope": "openid ivr"});
        claims.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        claims
    }
}

fn answer_code(
    codes: &Mutex<HashMap<String, Granted>>,
    headers: &HeaderMap,
    request: &TokenRequest,
) -> Result<String, StatusCode> {
    let client = format!("Basic {}", STANDARD.encode("console:hush"));
    assert_eq!(headers["authorization"], client);
    assert_eq!(request.grant_type, "authorization_code");
    assert!(request.redirect_uri.ends_with("/console/oidc/callback"));
    let (challenge, token) = codes.lock().remove(&request.code).ok_or(StatusCode::BAD_REQUEST)?;
    let proven = URL_SAFE_NO_PAD.encode(Sha256::digest(&request.code_verifier)) == challenge;
    if proven { Ok(token) } else { Err(StatusCode::BAD_REQUEST) }
}

impl Drop for IdentityProvider {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A key for ES256, made for this test.
pub struct TokenKey {
    id: &'static str,
    pair: EcdsaKeyPair,
}

impl TokenKey {
    pub fn new(id: &'static str) -> Self {
        let (algorithm, random) = (&ECDSA_P256_SHA256_FIXED_SIGNING, SystemRandom::new());
        let made = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
        Self { id, pair: EcdsaKeyPair::from_pkcs8(algorithm, made.as_ref(), &random).unwrap() }
    }

    fn jwk(&self) -> Value {
        let point = self.pair.public_key().as_ref();
        let (x, y) = (URL_SAFE_NO_PAD.encode(&point[1..33]), URL_SAFE_NO_PAD.encode(&point[33..]));
        json!({"kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": self.id, "x": x, "y": y})
    }

    pub fn sign(&self, header: &Value, claims: &Value) -> String {
        let encode = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
        let message = format!("{}.{}", encode(header), encode(claims));
        let signature = self.pair.sign(&SystemRandom::new(), message.as_bytes()).unwrap();
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}
