//! The token of an OAuth client, by the grant `client_credentials`.

use std::time::Duration;

use futures::future::BoxFuture;
use reqwest::RequestBuilder;
use secrecy::ExposeSecret;

use crate::cxone::error::CxoneError;
use crate::cxone::grant::{Granted, Grants, TokenRequests};
use crate::cxone::settings::{AuthStyle, V2Settings};

/// The scopes of all operations.
const SCOPES: &str = "outbound:campaign:write outbound:statistics:read outbound:contact:write \
                      outbound:forecast:read messaging:session:write";
/// The lifetime of a token where CXone gives none.
const DEFAULT_LIFE: Duration = Duration::from_mins(30);
/// A token is replaced this long before it expires, so that it does not expire during a request.
const MARGIN: Duration = Duration::from_mins(1);

/// The credentials.
pub struct Auth {
    settings: V2Settings,
}

impl Grants for Auth {
    fn grant<'a>(&'a self, requests: &'a TokenRequests<'a>) -> BoxFuture<'a, Result<Granted, CxoneError>> {
        Box::pin(self.request_token(requests))
    }
}

impl Auth {
    pub fn new(settings: V2Settings) -> Self {
        Self { settings }
    }

    async fn request_token(&self, requests: &TokenRequests<'_>) -> Result<Granted, CxoneError> {
        let body = requests.send(self.request(requests.http)).await?;
        Granted::read(&body, DEFAULT_LIFE, MARGIN)
    }

    fn request(&self, http: &reqwest::Client) -> RequestBuilder {
        let settings = &self.settings;
        let request = http.post(format!("{}/oauth/token", settings.base_url));
        let (id, secret) = (settings.client_id.as_str(), settings.client_secret.expose_secret());
        match settings.auth {
            AuthStyle::Basic => {
                let form = [("grant_type", "client_credentials"), ("scope", SCOPES)];
                request.basic_auth(id, Some(secret)).form(&form)
            }
            AuthStyle::Form => request.form(&[
                ("grant_type", "client_credentials"),
                ("client_id", id),
                ("client_secret", secret),
                ("scope", SCOPES),
            ]),
        }
    }
}
