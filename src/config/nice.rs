//! The settings for `CXONE_API=nice`.

use std::ffi::OsString;

use secrecy::SecretString;

use super::errors::{BadSetting, SettingErrors};
use super::given::{Given, choice, number, optional_text, secret_text, text};
use super::http_url::http_url;
use super::secret::secret;
use crate::cxone::{CallbackTimesSetting, NiceSettings, TokenSource};

/// The settings for `CXONE_API=nice`, as given.
#[derive(Clone, Debug, clap::Args)]
#[expect(clippy::doc_markdown, reason = "clap prints these lines as they are")]
pub struct NiceArgs {
    /// For CXONE_API=nice: the access key of a user of the tenant
    #[arg(long, env, value_parser = text(), value_name = "ID")]
    cxone_access_key_id: Option<Given<String>>,
    /// The access key's secret
    #[arg(long, env, hide_env_values = true, value_parser = secret_text(), value_name = "SECRET")]
    cxone_access_key_secret: Option<Given<SecretString>>,
    /// A file that contains CXONE_ACCESS_KEY_SECRET
    #[arg(long, env, value_name = "FILE")]
    cxone_access_key_secret_file: Option<OsString>,
    /// For CXONE_API=nice: the area of the tenant, for tokens (`na1`)
    #[arg(long, env, value_parser = text(), value_name = "AREA")]
    cxone_area: Option<Given<String>>,
    /// URL of the token endpoint for access keys, in place of CXONE_AREA
    #[arg(long, env, value_parser = text(), value_name = "URL")]
    cxone_token_url: Option<Given<String>>,
    /// Issuer of the tenant's tokens. With CXONE_CLIENT_ID, tokens are requested from it
    #[arg(long, env, value_parser = text(), value_name = "URL")]
    cxone_issuer: Option<Given<String>>,
    /// Version of the API for CXONE_API=nice
    #[arg(long, env, default_value = "33", value_parser = number(12_u32..=99), value_name = "N")]
    cxone_api_version: Given<u32>,
    /// Base URL of Digital, in place of the one of the tenant's area
    #[arg(long, env, value_parser = text(), value_name = "URL")]
    cxone_digital_url: Option<Given<String>>,
    /// Form of the times of callbacks; `detect` learns it from the first callback
    #[arg(long, env, default_value = "detect", value_parser = choice::<CallbackTimesSetting>())]
    cxone_callback_times: Given<CallbackTimesSetting>,
}

/// The OAuth client, as given.
pub struct Client {
    pub id: Given<Option<String>>,
    pub secret: Given<Option<SecretString>>,
}

impl Client {
    /// The same client, after adding errors where a part is missing or invalid.
    pub fn required(self, errors: &mut SettingErrors) -> Self {
        let id = errors.require("CXONE_CLIENT_ID", self.id);
        let secret = errors.require("CXONE_CLIENT_SECRET", self.secret);
        Self { id: Ok(id), secret: Ok(secret) }
    }
}

impl NiceArgs {
    /// The settings, or none after adding errors.
    pub fn read(
        self,
        client: Client,
        base_url: Option<Given<String>>,
        allow_http: bool,
        errors: &mut SettingErrors,
    ) -> Option<NiceSettings> {
        let mut url = |variable: &str, given: Option<Given<String>>| {
            let url = optional_text(given)
                .and_then(|text| text.map(|text| http_url(variable, &text, allow_http)).transpose());
            errors.take(url)
        };
        let base_url = url("CXONE_BASE_URL", base_url);
        let token_url = url("CXONE_TOKEN_URL", self.cxone_token_url);
        let issuer = url("CXONE_ISSUER", self.cxone_issuer);
        let digital_url = url("CXONE_DIGITAL_URL", self.cxone_digital_url);
        let access_key_id = errors.require("CXONE_ACCESS_KEY_ID", optional_text(self.cxone_access_key_id));
        let file = self.cxone_access_key_secret_file.as_deref();
        let access_key_secret = secret("CXONE_ACCESS_KEY_SECRET", self.cxone_access_key_secret, file);
        let access_key_secret = errors.require("CXONE_ACCESS_KEY_SECRET", access_key_secret);
        let area =
            errors.take(optional_text(self.cxone_area).and_then(|area| area.map(|area| area_url(&area)).transpose()));
        let client_id = errors.take(client.id);
        let client_secret = errors.take(client.secret);
        let api_version = errors.take(self.cxone_api_version);
        let callback_times = errors.take(self.cxone_callback_times);
        let issuer = issuer?;
        let token_source = match (client_id?, client_secret?, issuer.clone()) {
            (Some(client_id), client_secret, Some(issuer)) => {
                let client_secret = errors.require("CXONE_CLIENT_SECRET", Ok(client_secret))?;
                TokenSource::Password { issuer, client_id, client_secret }
            }
            _ => {
                let missing = || BadSetting::missing_both("CXONE_AREA", "CXONE_TOKEN_URL");
                TokenSource::AccessKey { url: errors.take(token_url?.or(area?).ok_or_else(missing))? }
            }
        };
        Some(NiceSettings {
            access_key_id: access_key_id?,
            access_key_secret: access_key_secret?,
            token_source,
            issuer,
            base_url: base_url?,
            api_version: api_version?,
            digital_url: digital_url?,
            callback_times: callback_times?,
            allow_http,
        })
    }
}

/// The token endpoint of an area. Every area serves every tenant.
fn area_url(area: &str) -> Result<String, BadSetting> {
    if area.is_empty() || area.len() > 20 || !area.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Err(BadSetting::new("CXONE_AREA", "must be an area such as `na1`"));
    }
    let area = area.to_ascii_lowercase();
    Ok(format!("https://{area}.nice-incontact.com/authentication/v1/token/access-key"))
}
