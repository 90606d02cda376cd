//! The settings for webhooks.

use std::ffi::OsString;

use base64::Engine as _;
use secrecy::{ExposeSecret as _, SecretString};

use super::errors::{BadSetting, SettingErrors};
use super::given::{Given, optional_text, secret_text, switch, text};
use super::secret::secret;
use crate::webhooks::{AddressPolicy, SecretCipher, SigningSecret, WebhookSettings};

/// The settings for webhooks, as given.
#[derive(Clone, Debug, clap::Args)]
#[expect(clippy::doc_markdown, reason = "clap prints these lines as they are")]
pub struct WebhookArgs {
    /// Webhook endpoint in addition to those created by API
    #[arg(long, env, value_parser = text(), value_name = "URL")]
    wfo_webhook_url: Option<Given<String>>,
    /// Secret that signs requests to WFO_WEBHOOK_URL, `whsec_…`
    #[arg(long, env, hide_env_values = true, value_parser = secret_text(), value_name = "SECRET")]
    wfo_webhook_secret: Option<Given<SecretString>>,
    /// A file that contains WFO_WEBHOOK_SECRET
    #[arg(long, env, value_name = "FILE")]
    wfo_webhook_secret_file: Option<OsString>,
    /// Allow webhook receivers on loopback addresses, with plain http
    #[arg(long, env, default_value = "false", value_parser = switch(), action = clap::ArgAction::Set,
        num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    webhooks_allow_loopback: Given<bool>,
    /// Key that encrypts webhook secrets at rest: 32 bytes in base64
    #[arg(long, env, hide_env_values = true, value_parser = secret_text(), value_name = "BASE64")]
    encryption_key: Option<Given<SecretString>>,
    /// A file that contains ENCRYPTION_KEY
    #[arg(long, env, value_name = "FILE")]
    encryption_key_file: Option<OsString>,
}

impl WebhookArgs {
    /// The settings, or none after adding errors.
    pub fn read(self, proxy: Option<SecretString>, errors: &mut SettingErrors) -> Option<WebhookSettings> {
        let allow_loopback = errors.take(self.webhooks_allow_loopback);
        let url = errors.take(optional_text(self.wfo_webhook_url));
        let signing = secret("WFO_WEBHOOK_SECRET", self.wfo_webhook_secret, self.wfo_webhook_secret_file.as_deref());
        let signing = errors.take(signing.and_then(|text| text.map(signing_secret).transpose()));
        let key = secret("ENCRYPTION_KEY", self.encryption_key, self.encryption_key_file.as_deref());
        let cipher = errors.take(key.and_then(|key| key.map(cipher).transpose()));
        // If it is unknown whether loopback is allowed, the URL is not refused because of it.
        let address_policy = AddressPolicy { allow_loopback: allow_loopback.unwrap_or(true) };
        let url = url.and_then(|url| errors.take(url.map(|url| webhook_url(address_policy, &url)).transpose()));
        if matches!((&url, &signing), (Some(Some(_)) | None, Some(None))) {
            errors.take::<()>(Err(BadSetting::missing("WFO_WEBHOOK_SECRET")));
        }
        if matches!((&url, &signing), (Some(None), Some(Some(_)))) {
            errors.take::<()>(Err(BadSetting::missing("WFO_WEBHOOK_URL")));
        }
        Some(WebhookSettings { address_policy, cipher: cipher?, configured: url?.zip(signing?), proxy })
    }
}

fn signing_secret(text: SecretString) -> Result<SigningSecret, BadSetting> {
    SigningSecret::parse(&text).map_err(|fault| BadSetting::new("WFO_WEBHOOK_SECRET", fault))
}

fn cipher(key: SecretString) -> Result<SecretCipher, BadSetting> {
    let bytes = base64::engine::general_purpose::STANDARD.decode(key.expose_secret()).unwrap_or_default();
    SecretCipher::new(&bytes).ok_or_else(|| BadSetting::new("ENCRYPTION_KEY", "must be 32 bytes in base64"))
}

fn webhook_url(policy: AddressPolicy, text: &str) -> Result<String, BadSetting> {
    let url = policy.parse(text).map_err(|fault| BadSetting::new("WFO_WEBHOOK_URL", fault.detail))?;
    Ok(url.into())
}
