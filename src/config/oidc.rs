//! The settings for tokens of an identity provider.

use super::errors::{BadSetting, SettingErrors};
use super::given::{Given, optional_text, text};
use crate::oidc::{Issuer, OidcSettings, ScopeMapping};

/// The claim of OAuth 2.0 (RFC 9068).
const DEFAULT_CLAIM: &str = "scope";

/// The identity provider, as given.
#[derive(Clone, Debug, Default, clap::Args)]
#[expect(clippy::doc_markdown, reason = "clap prints these lines as they are")]
pub struct OidcArgs {
    /// OpenID Connect provider whose tokens are accepted besides API keys: its URL, exactly as `iss` of the tokens has it
    #[arg(long, env, value_parser = text(), value_name = "URL")]
    oidc_issuer: Option<Given<String>>,
    /// Whom tokens must be for: a value of their `aud`
    #[arg(long, env, value_parser = text(), value_name = "TEXT")]
    oidc_audience: Option<Given<String>>,
    /// Scopes of each value of the claim, as JSON: {"value": "scope scope"}. Other values give no scope
    #[arg(long, env, value_parser = text(), value_name = "JSON")]
    oidc_scopes: Option<Given<String>>,
    /// Claim that is mapped to scopes: its name, or a JSON Pointer such as /realm_access/roles; `scope` by default
    #[arg(long, env, value_parser = text(), value_name = "NAME")]
    oidc_claim: Option<Given<String>>,
}

impl OidcArgs {
    /// The provider, if there is one, or none after adding errors.
    pub fn read(self, errors: &mut SettingErrors) -> Option<Option<OidcSettings>> {
        let issuer = errors.take(optional_text(self.oidc_issuer));
        let audience = errors.take(optional_text(self.oidc_audience));
        let scopes = errors.take(optional_text(self.oidc_scopes));
        let claim = errors.take(optional_text(self.oidc_claim));
        let (issuer, audience, scopes, claim) = (issuer?, audience?, scopes?, claim?);
        let Some(issuer) = issuer else {
            let without_issuer = [("OIDC_AUDIENCE", &audience), ("OIDC_SCOPES", &scopes), ("OIDC_CLAIM", &claim)];
            let set = without_issuer.into_iter().find(|(_, value)| value.is_some());
            let missing = |(name, _)| BadSetting::new("OIDC_ISSUER", format_args!("is required with {name}"));
            return errors.take(set.map_or(Ok(None), |set| Err(missing(set))));
        };
        let bad = |variable: &'static str| move |fault: crate::types::Fault| BadSetting::new(variable, fault.detail);
        let required = |variable: &'static str| move || BadSetting::new(variable, "is required with OIDC_ISSUER");
        let issuer = errors.take(Issuer::parse(&issuer).map_err(bad("OIDC_ISSUER")));
        let audience = errors.take(audience.ok_or_else(required("OIDC_AUDIENCE")));
        let scopes = scopes.ok_or_else(required("OIDC_SCOPES"));
        let scopes = errors.take(scopes.and_then(|text| ScopeMapping::parse(&text).map_err(bad("OIDC_SCOPES"))));
        let claim = claim.unwrap_or_else(|| DEFAULT_CLAIM.to_owned());
        Some(Some(OidcSettings { issuer: issuer?, audience: audience?, claim, scopes: scopes? }))
    }
}
