//! `POST /v1/keys`.

use axum::extract::State;
use axum::response::Response;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;
use validator::{Validate, ValidateArgs as _, ValidationError, ValidationErrors};

use super::state::{Keys, author, new_secret};
use super::view::{KeyView, with_secret};
use crate::http::validation::{Member, Unknown, fault_of_value, valid};
use crate::http::{AuthorizedForCampaigns, JsonBody, Problem, ProblemKind, Scope, required};
use crate::keys::entries::created;
use crate::keys::record::{Grant, NewKey, parse_name};
use crate::types::{AllowedCampaigns, CampaignId, Fault, Rate, parse_instant};

/// An API key to create
#[derive(Debug, Deserialize, ToSchema, Validate)]
#[serde(rename_all = "camelCase")]
#[schema(as = NewApiKey)]
#[validate(context = Timestamp)]
pub struct KeyRequest {
    /// 1 to 100 characters.
    #[serde(default)]
    #[schema(value_type = String, required, example = "ivr")]
    #[validate(required, custom(function = "name"))]
    name: Member<String, String>,
    /// Scopes that the key of the request has.
    #[serde(default)]
    #[schema(value_type = Vec<String>, required, min_items = 1)]
    #[validate(required, length(min = 1, message = "must name a scope"), nested)]
    scopes: Member<Vec<RequestedScope>>,
    /// The campaigns to which it is restricted, at most 1000; all where absent.
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>, min_items = 1, max_items = 1000)]
    #[validate(length(min = 1, max = 1000, message = "must have 1 to 1000 campaigns"), nested)]
    campaigns: Member<Vec<RequestedCampaign>>,
    /// The requests that it may send: `N/s`, `N/min` or `N/h`; any number where absent.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "50/s")]
    #[validate(custom(function = "rate"))]
    rate: Member<String, Rate>,
    /// It is refused from then on; never where absent.
    #[serde(default)]
    #[schema(value_type = Option<Timestamp>)]
    #[validate(custom(function = "in_the_future", use_context))]
    expires_at: Member<String, Timestamp>,
    #[serde(flatten)]
    #[schema(ignore)]
    #[validate(nested)]
    unknown: Unknown,
}

/// An element of `scopes`, known or not.
#[derive(Debug, Deserialize)]
#[serde(from = "Value")]
pub struct RequestedScope(Result<Scope, Fault>);

impl From<Value> for RequestedScope {
    fn from(value: Value) -> Self {
        let scope = value.as_str().unwrap_or_default().parse();
        Self(scope.map_err(|error: crate::http::UnknownScope| Fault::new("unknown-scope", error.to_string())))
    }
}

impl Validate for RequestedScope {
    fn validate(&self) -> Result<(), ValidationErrors> {
        self.0.as_ref().map(drop).map_err(|fault| fault_of_value(fault.clone()))
    }
}

/// An element of `campaigns`.
#[derive(Debug, Deserialize)]
#[serde(from = "Value")]
pub struct RequestedCampaign(Result<CampaignId, Fault>);

impl From<Value> for RequestedCampaign {
    fn from(value: Value) -> Self {
        Self(CampaignId::parse(value.as_str().unwrap_or_default()))
    }
}

impl Validate for RequestedCampaign {
    fn validate(&self) -> Result<(), ValidationErrors> {
        self.0.as_ref().map(drop).map_err(|fault| fault_of_value(fault.clone()))
    }
}

fn name(name: &Member<String, String>) -> Result<(), ValidationError> {
    name.parse(|text| parse_name(text))
}

fn rate(rate: &Member<String, Rate>) -> Result<(), ValidationError> {
    rate.parse(|text| Rate::parse(text))
}

fn in_the_future(end: &Member<String, Timestamp>, now: &Timestamp) -> Result<(), ValidationError> {
    end.parse(|text| {
        let end = parse_instant(text)?;
        if end > *now { Ok(end) } else { Err(Fault::new("in-the-past", "must be in the future")) }
    })
}

impl KeyRequest {
    /// The name and what the key allows; `None` unless the request was validated.
    fn into_parts(self) -> Option<(String, Grant)> {
        let scopes = self.scopes.into_value()?.into_iter().filter_map(|scope| scope.0.ok()).collect();
        let campaigns = self.campaigns.into_value().map_or_else(AllowedCampaigns::all, |campaigns| {
            AllowedCampaigns::only(campaigns.into_iter().filter_map(|campaign| campaign.0.ok()))
        });
        let (rate, expires_at) = (self.rate.into_parsed(), self.expires_at.into_parsed());
        Some((self.name.into_parsed()?, Grant::new(scopes, campaigns, rate, expires_at)))
    }
}

/// Create an API key
///
/// The response shows its secret once. It can have no scope, campaign, rate or time that the key of the request does not have.
#[utoipa::path(post, path = "/v1/keys", operation_id = "postKey", tag = "Keys", security(("key" = ["keys:write"])),
    request_body(content = KeyRequest, examples(
        ("all" = (summary = "For all campaigns", value = json!({"name": "ivr",
            "scopes": ["callbacks:write", "callbacks:read"]}))),
        ("restricted" = (summary = "With all restrictions", value = json!({"name": "partner",
            "scopes": ["callbacks:write"], "campaigns": ["0192f0c4-1111-7000-8000-000000000001"], "rate": "50/s",
            "expiresAt": "2026-12-20T00:00:00Z"}))))),
    params(("Idempotency-Key" = Option<String>, Header, description = "The response to a repeated request has no secret")),
    responses((status = 201, body = KeyView, headers(("Location" = String))), (status = 422),
        (status = 403, description = "`key-not-allowed`, with what is `exceeded`; or the scope is missing")))]
pub async fn post_key(
    State(keys): State<Keys>,
    AuthorizedForCampaigns(context, _): AuthorizedForCampaigns<required::KeysWrite>,
    JsonBody(request): JsonBody<KeyRequest>,
) -> Result<Response, Problem> {
    let now = context.clock.now();
    valid(request.validate_with_args(&now))?;
    let incomplete = || Problem::new(ProblemKind::Internal, "a required member of a valid request has no value");
    let (name, grant) = request.into_parts().ok_or_else(incomplete)?;
    keys.require(&context, &grant).await?;
    let key = NewKey { id: context.resource.id, name, grant };
    let (secret, entry) = (new_secret()?, created(&author(&context), &key));
    if context.resource.repeated && keys.store.get(key.id).await?.is_some() {
        // An earlier run of this request created it and did not respond, so its secret has not been shown yet.
        keys.store.replace_secret(key.id, &secret, entry).await?;
    } else {
        keys.store.create(&key, &secret, now, entry).await?;
    }
    with_secret(keys.find(key.id, &context).await?, &secret)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_fault_of_a_new_key_is_found_at_once() {
        let request = json!({"name": " ", "scopes": ["audit:read", "all", 7], "campaigns": ["a", "a b"], "rate": "fast",
            "expiresAt": "2026-11-20T15:00:00Z", "owner": "me"});
        let request: KeyRequest = serde_json::from_value(request).unwrap();
        let now = "2026-11-20T15:00:00Z".parse().unwrap();
        let problem = valid(request.validate_with_args(&now)).unwrap_err();
        assert_eq!(
            problem.fault_codes(),
            [
                "/campaigns/1 not-a-campaign-id",
                "/expiresAt in-the-past",
                "/name bad-name",
                "/owner unknown-member",
                "/rate not-a-rate",
                "/scopes/1 unknown-scope",
                "/scopes/2 unknown-scope",
            ]
        );
    }
}
