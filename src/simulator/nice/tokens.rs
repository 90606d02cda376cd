//! The two token calls: by access key, and by access key through a registered client.

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::answer::{Reply, ok};
use super::discovery::own_url;
use super::tenant::{AREA, BUSINESS_UNIT, TENANT_ID};
use crate::simulator::fields::{Fields, JsonBody, basic, has_type, only, pairs};
use crate::simulator::model::Simulator;
use crate::simulator::refusal::Refusal;
use crate::simulator::route::NICE_SCOPE;

/// `POST /authentication/v1/token/access-key`
pub(super) async fn by_access_key(
    State(simulator): State<Simulator>,
    headers: HeaderMap,
    JsonBody(body): JsonBody,
) -> Reply {
    let fields = Fields::known(&body, "", &["accessKeyId", "accessKeySecret"])?;
    let (id, secret) = (fields.text("accessKeyId")?, fields.text("accessKeySecret")?);
    if !is_key(&simulator, id, secret) {
        return Err(Refusal::token("the access key is not known, or its secret is wrong"));
    }
    ok(issued(&simulator, &headers))
}

/// `POST /auth/token`
pub(super) async fn by_password(State(simulator): State<Simulator>, headers: HeaderMap, body: Bytes) -> Response {
    match password_grant(&simulator, &headers, &body) {
        Ok(()) => (StatusCode::OK, Json(issued(&simulator, &headers))).into_response(),
        Err((status, error, description)) => {
            (status, Json(json!({ "error": error, "errorDescription": description }))).into_response()
        }
    }
}

type Refused = (StatusCode, &'static str, String);

fn password_grant(simulator: &Simulator, headers: &HeaderMap, body: &[u8]) -> Result<(), Refused> {
    let bad = |description: &str| (StatusCode::BAD_REQUEST, "invalid_request", description.to_owned());
    let refused = |refusal: Refusal| bad(refusal.description());
    if !has_type(headers, "application/x-www-form-urlencoded") {
        return Err(bad("the content type must be application/x-www-form-urlencoded"));
    }
    if !basic(headers).is_some_and(|(id, secret)| is_key(simulator, &id, &secret)) {
        let description = "the client is not known, or its secret is wrong";
        return Err((StatusCode::UNAUTHORIZED, "invalid_client", description.to_owned()));
    }
    let form = std::str::from_utf8(body).map_err(|_| bad("the form is not UTF-8"))?;
    let form = pairs(form).map_err(refused)?;
    if form.iter().any(|(name, _)| !["grant_type", "username", "password"].contains(&name.as_str())) {
        return Err(bad("the form has a parameter that is not known here"));
    }
    let value = |name| only(&form, name).map_err(refused);
    match value("grant_type")? {
        Some("password") => {}
        Some(_) => {
            return Err((StatusCode::BAD_REQUEST, "unsupported_grant_type", "grant_type must be password".to_owned()));
        }
        None => return Err(bad("grant_type is missing")),
    }
    match (value("username")?, value("password")?) {
        (Some(id), Some(secret)) if is_key(simulator, id, secret) => Ok(()),
        _ => {
            let description = "the access key is not known, or its secret is wrong";
            Err((StatusCode::UNAUTHORIZED, "invalid_grant", description.to_owned()))
        }
    }
}

/// Whether these are the id and secret of the only access key, which are also those of the only client.
fn is_key(simulator: &Simulator, id: &str, secret: &str) -> bool {
    let settings = &simulator.model().settings;
    id == settings.client_id && secret == settings.client_secret
}

/// Issues a token. Returns the body of the answer.
fn issued(simulator: &Simulator, headers: &HeaderMap) -> Value {
    let model = simulator.model();
    let issuer = own_url(headers);
    let jwt = || jwt(&issuer, &model.new_id().to_string(), &format!("{:032x}", model.random()));
    let (access, identity) = (jwt(), jwt());
    let mut answer = model.tokens.lock().issue(access, &model.settings.client_id, vec![NICE_SCOPE.to_owned()]);
    answer["refresh_token"] = format!("{:032x}", model.random()).into();
    answer["id_token"] = identity.into();
    answer
}

/// Has the form of a JWT; its signature is no signature.
fn jwt(issuer: &str, id: &str, signature: &str) -> String {
    let header = json!({ "alg": "RS256", "typ": "JWT", "kid": "simulator" });
    let payload = json!({
        "iss": issuer, "jti": id, "sub": "user:simulator", "tenantId": TENANT_ID, "icBUId": BUSINESS_UNIT,
        "icClusterId": "C1", "icAgentId": "7000", "area": AREA,
    });
    let encoded = |part: &[u8]| URL_SAFE_NO_PAD.encode(part);
    let (header, payload) = (encoded(header.to_string().as_bytes()), encoded(payload.to_string().as_bytes()));
    format!("{header}.{payload}.{}", encoded(signature.as_bytes()))
}
