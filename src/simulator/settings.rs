//! How a simulator starts out.

use std::time::Duration;

use super::ForecastShape;

/// What CXone says about a token's life where it says nothing.
const TOKEN_LIFETIME: Duration = Duration::from_secs(1800);

/// How a simulator starts out; the control API changes some of it later.
#[derive(Clone)]
pub struct Settings {
    /// The one OAuth client there is.
    pub client_id: String,
    /// Its secret; kept out of every record.
    pub client_secret: String,
    /// What this client may do: the most a token can be granted.
    pub scopes: Vec<String>,
    /// How long a token is accepted.
    pub token_lifetime: Duration,
    /// Whether token answers leave `expires_in` out.
    pub omit_expires_in: bool,
    /// The quota in any sliding 60 s, token requests and refused ones included; `None` means no limit.
    pub requests_per_minute: Option<u32>,
    /// How long every CXone call takes at least.
    pub latency: Duration,
    /// The numbers a message may come from; `None` means any.
    pub verified_senders: Option<Vec<String>>,
    /// Whether CXone starts a paused campaign by itself when its `scheduledResumeTime` is reached.
    pub resumes_itself: bool,
    /// What the forecast says where nobody set another.
    pub forecast: ForecastShape,
    /// Decides what is left to chance: ids, the forecast's wobble, faults with a rate.
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
