//! The scopes of API keys.

use strum::{AsRefStr, Display, EnumString, IntoStaticStr, VariantArray};

/// A permission that an API key can have.
#[derive(
    AsRefStr, Clone, Copy, Debug, Display, EnumString, Eq, IntoStaticStr, Ord, PartialEq, PartialOrd, VariantArray,
)]
#[strum(parse_err_ty = UnknownScope, parse_err_fn = unknown)]
pub enum Scope {
    /// Post and cancel callbacks.
    #[strum(serialize = "callbacks:write")]
    CallbacksWrite,
    /// Read callbacks.
    #[strum(serialize = "callbacks:read")]
    CallbacksRead,
    /// Pause and resume campaigns, and change their settings.
    #[strum(serialize = "campaigns:write")]
    CampaignsWrite,
    /// Read campaigns.
    #[strum(serialize = "campaigns:read")]
    CampaignsRead,
    /// Lift a compliance hold early, or resume outside the regulatory window.
    #[strum(serialize = "campaigns:override")]
    CampaignsOverride,
    /// Report attempts and answers.
    #[strum(serialize = "events:write")]
    EventsWrite,
    /// Read the audit log.
    #[strum(serialize = "audit:read")]
    AuditRead,
    /// Create, change and delete webhook endpoints.
    #[strum(serialize = "webhooks:write")]
    WebhooksWrite,
    /// Read webhook endpoints and deliveries.
    #[strum(serialize = "webhooks:read")]
    WebhooksRead,
    /// Erase what is held about a person.
    #[strum(serialize = "privacy:write")]
    PrivacyWrite,
    /// Read what is held about a person.
    #[strum(serialize = "privacy:read")]
    PrivacyRead,
    /// Create, rotate and revoke API keys that have no more than the key itself.
    #[strum(serialize = "keys:write")]
    KeysWrite,
}

impl Scope {
    /// The scope as keys and responses name it.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// A text that names no scope.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("no such scope; the scopes are {}", Scope::VARIANTS.iter().map(Scope::as_ref).collect::<Vec<_>>().join(", "))]
pub struct UnknownScope;

fn unknown(_: &str) -> UnknownScope {
    UnknownScope
}

/// A scope as a type, so that a handler can require it in its signature.
pub trait RequiredScope: Send + Sync {
    const SCOPE: Scope;
}

/// The scopes that handlers require.
pub mod required {
    use super::{RequiredScope, Scope};

    macro_rules! required {
        ($($scope:ident),*) => {
            $(
                #[doc = concat!("See [`Scope::", stringify!($scope), "`].")]
                pub struct $scope;

                impl RequiredScope for $scope {
                    const SCOPE: Scope = Scope::$scope;
                }
            )*
        };
    }

    required!(
        CallbacksWrite,
        CallbacksRead,
        CampaignsWrite,
        CampaignsRead,
        EventsWrite,
        AuditRead,
        WebhooksWrite,
        WebhooksRead,
        PrivacyWrite,
        PrivacyRead,
        KeysWrite
    );
}
