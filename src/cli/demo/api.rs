//! The APIs of CXone that the demo can show.

use std::net::SocketAddr;
use std::time::Duration;

use secrecy::SecretString;

use crate::cxone::{self, AuthStyle, CallbackTimesSetting, NiceSettings, TokenSource, V2Settings};
use crate::simulator;

/// The quota of the demo's CXone …
const REQUESTS_PER_MINUTE: u32 = 100;
/// … and with outcomes that are read every second or two, so that nobody waits for them.
const MANY_REQUESTS_PER_MINUTE: u32 = 1_000;
const OFTEN: Duration = Duration::from_secs(1);

/// An API of CXone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Api {
    V2,
    Nice,
}

impl Api {
    /// The API that the simulator serves.
    pub fn simulated(self) -> simulator::Api {
        match self {
            Self::V2 => simulator::Api::V2,
            Self::Nice => simulator::Api::Nice,
        }
    }

    /// The settings of the service for the simulator at this address.
    pub fn settings(self, simulator: SocketAddr) -> cxone::Settings {
        let known = simulator::Settings::default();
        let (base_url, secret) = (format!("http://{simulator}"), SecretString::from(known.client_secret));
        let (api, requests_per_minute) = match self {
            Self::V2 => {
                let auth = AuthStyle::Basic;
                let settings = V2Settings { base_url, client_id: known.client_id, client_secret: secret, auth };
                (cxone::Api::V2(settings), REQUESTS_PER_MINUTE)
            }
            Self::Nice => (cxone::Api::Nice(nice(base_url, known.client_id, secret)), MANY_REQUESTS_PER_MINUTE),
        };
        cxone::Settings { api, timeout: Duration::from_secs(10), requests_per_minute }
    }

    /// The channel of text messages.
    pub fn sms_channel(self) -> Option<String> {
        (self == Self::Nice).then(|| "sms_1".to_owned())
    }

    /// How often outcomes are read.
    pub fn outcome_poll(self) -> Duration {
        if self == Self::Nice { OFTEN } else { Duration::from_mins(2) }
    }
}

fn nice(base_url: String, access_key_id: String, access_key_secret: SecretString) -> NiceSettings {
    NiceSettings {
        access_key_id,
        access_key_secret,
        token_source: TokenSource::AccessKey { url: format!("{base_url}/authentication/v1/token/access-key") },
        issuer: None,
        api_version: 33,
        digital_url: Some(format!("{base_url}/dfo/3.0")),
        callback_times: CallbackTimesSetting::Detect,
        allow_http: false,
        base_url: Some(base_url),
    }
}
