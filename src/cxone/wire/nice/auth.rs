//! The tokens of an access key, and what they say about the tenant.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use secrecy::ExposeSecret as _;
use serde_json::json;

use super::reply::Fields;
use crate::cxone::error::CxoneError;
use crate::cxone::grant::{Granted, Grants, TokenRequests};
use crate::cxone::settings::{NiceSettings, TokenSource};

/// The lifetime of a token where CXone gives none.
const DEFAULT_LIFE: Duration = Duration::from_hours(1);
/// A token is replaced this long before it expires.
const MARGIN: Duration = Duration::from_mins(5);

/// The access key, and the tenant that the last token named.
pub struct Auth {
    settings: NiceSettings,
    token_endpoint: Mutex<Option<String>>,
    tenant: Mutex<Option<Tenant>>,
}

/// The tenant, from the claims of a token. TLS vouches for them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tenant {
    pub id: Option<String>,
    pub issuer: Option<String>,
    pub cluster: Option<String>,
}

impl Grants for Auth {
    fn grant<'a>(&'a self, requests: &'a TokenRequests<'a>) -> BoxFuture<'a, Result<Granted, CxoneError>> {
        Box::pin(self.request_token(requests))
    }
}

impl Auth {
    pub fn new(settings: NiceSettings) -> Self {
        Self { settings, token_endpoint: Mutex::default(), tenant: Mutex::default() }
    }

    /// The tenant of the last token; none before the first one.
    pub fn tenant(&self) -> Option<Tenant> {
        self.tenant.lock().clone()
    }

    /// A refresh would cost as many requests, and keep a second secret.
    async fn request_token(&self, requests: &TokenRequests<'_>) -> Result<Granted, CxoneError> {
        let (key, secret) = (&self.settings.access_key_id, self.settings.access_key_secret.expose_secret());
        let request = match &self.settings.token_source {
            TokenSource::AccessKey { url } => {
                requests.http.post(url).json(&json!({"accessKeyId": key, "accessKeySecret": secret}))
            }
            TokenSource::Password { issuer, client_id, client_secret } => {
                let url = self.token_endpoint(requests, issuer).await?;
                let form = [("grant_type", "password"), ("username", key), ("password", secret)];
                requests.http.post(url).basic_auth(client_id, Some(client_secret.expose_secret())).form(&form)
            }
        };
        let body = requests.send(request.header(reqwest::header::ACCEPT, "application/json")).await?;
        let granted = Granted::read(&body, DEFAULT_LIFE, MARGIN)?;
        *self.tenant.lock() = Some(Tenant::of(&body));
        Ok(granted)
    }

    async fn token_endpoint(&self, requests: &TokenRequests<'_>, issuer: &str) -> Result<String, CxoneError> {
        if let Some(known) = self.token_endpoint.lock().clone() {
            return Ok(known);
        }
        let url = format!("{issuer}/.well-known/openid-configuration");
        let body = requests.send(requests.http.get(url)).await?;
        let endpoint = Fields::read(&body).and_then(|fields| fields.text(&["token_endpoint"]));
        let endpoint = endpoint.filter(|url| self.settings.allows(url));
        let endpoint = endpoint.ok_or_else(|| CxoneError::unavailable("the issuer names no usable token_endpoint"))?;
        Ok(self.token_endpoint.lock().insert(endpoint).clone())
    }
}

impl Tenant {
    /// From the answer of a token endpoint: the claims of `id_token`, else of `access_token`.
    fn of(body: &[u8]) -> Self {
        let Some(fields) = Fields::read(body) else { return Self::default() };
        let claims: Vec<Fields> =
            ["id_token", "access_token"].iter().filter_map(|name| claims(&fields.text(&[name])?)).collect();
        let claim = |names: &[&str]| claims.iter().find_map(|claims| claims.text(names));
        Self { id: claim(&["tenantId"]), issuer: claim(&["iss"]), cluster: claim(&["icClusterId"]) }
    }
}

fn claims(token: &str) -> Option<Fields> {
    let payload = token.split('.').nth(1)?;
    Fields::read(&URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(claims: &str) -> String {
        format!("e30.{}.x", URL_SAFE_NO_PAD.encode(claims))
    }

    #[test]
    fn the_tenant_comes_from_the_id_token_and_else_from_the_access_token() {
        let id = token(r#"{"tenantId": "t1", "iss": "https://cxone.niceincontact.com"}"#);
        let access = token(r#"{"tenantId": "t2", "icClusterId": "C32", "iss": "https://other.example"}"#);
        let body = json!({"access_token": access, "id_token": id}).to_string();
        let issuer = Some("https://cxone.niceincontact.com".to_owned());
        let expected = Tenant { id: Some("t1".into()), issuer, cluster: Some("C32".into()) };
        assert_eq!(Tenant::of(body.as_bytes()), expected);
        for opaque in ["opaque", "a.b.c", ""] {
            assert_eq!(Tenant::of(json!({"access_token": opaque}).to_string().as_bytes()), Tenant::default());
        }
    }
}
