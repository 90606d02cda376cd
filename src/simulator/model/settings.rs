//! The settings of a simulator.

use std::time::Duration;

use super::forecast::ForecastShape;

/// A token's lifetime where CXone does not state it.
const TOKEN_LIFETIME: Duration = Duration::from_mins(30);

/// Which of CXone's APIs a simulator serves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Api {
    /// The six `v2` calls.
    #[default]
    V2,
    /// The API that NICE publishes.
    Nice,
    /// Both.
    Both,
}

/// The initial settings of a simulator; the control API can change some of them.
#[derive(Clone)]
pub struct Settings {
    /// The APIs that it serves.
    pub api: Api,
    /// The id of the only OAuth client. In the `nice` API also the id of the only access key.
    pub client_id: String,
    /// Its secret, and that of the access key; never shown in logs.
    pub client_secret: String,
    /// The scopes of this client: the most that a token can have.
    pub scopes: Vec<String>,
    /// How long a token is accepted.
    pub token_lifetime: Duration,
    /// Whether token answers leave `expires_in` out.
    pub omit_expires_in: bool,
    /// The quota in any sliding 60 s, token requests and refused ones included; `None` means no limit.
    pub requests_per_minute: Option<u32>,
    /// The least time that each CXone call takes.
    pub latency: Duration,
    /// The numbers that messages may be sent from; `None` means any.
    pub verified_senders: Option<Vec<String>>,
    /// Whether CXone starts a paused campaign by itself when its `scheduledResumeTime` is reached.
    pub resumes_itself: bool,
    /// The forecast of campaigns that have no other.
    pub forecast: ForecastShape,
    /// The seed of random choices: ids, deviations of the forecast, faults with a rate.
    pub seed: u64,
}

impl Default for Settings {
    fn default() -> Self {
        let scopes = [
            "outbound:campaign:write",
            "outbound:statistics:read",
            "outbound:contact:write",
            "outbound:forecast:read",
            "messaging:session:write",
        ];
        Self {
            api: Api::V2,
            client_id: "simulator".to_owned(),
            client_secret: "simulator-secret".to_owned(),
            scopes: scopes.map(str::to_owned).to_vec(),
            token_lifetime: TOKEN_LIFETIME,
            omit_expires_in: false,
            requests_per_minute: None,
            latency: Duration::ZERO,
            verified_senders: None,
            resumes_itself: false,
            forecast: ForecastShape::default(),
            seed: 0,
        }
    }
}
