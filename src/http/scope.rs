//! What a key may do.

use std::fmt;
use std::str::FromStr;

macro_rules! scopes {
    ($($name:ident = $text:literal: $doc:literal,)*) => {
        /// One thing that a key may be allowed to do.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Scope {
            $(#[doc = $doc] $name,)*
        }

        impl Scope {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// As keys and answers name it.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }

        /// The scopes as types, for routes to name the one that they need.
        pub mod required {
            $(#[doc = $doc] pub struct $name;

            impl super::RequiredScope for $name {
                const SCOPE: super::Scope = super::Scope::$name;
            })*
        }
    };
}

/// A scope that a route asks for.
pub trait RequiredScope: Send + Sync {
    /// Which one.
    const SCOPE: Scope;
}

scopes! {
    CallbacksWrite = "callbacks:write": "Post and cancel callbacks.",
    CallbacksRead = "callbacks:read": "See callbacks.",
    CampaignsWrite = "campaigns:write": "Pause and resume campaigns, and change their settings.",
    CampaignsRead = "campaigns:read": "See campaigns.",
    CampaignsOverride = "campaigns:override": "Lift a compliance hold early, or resume outside the regulatory window.",
    EventsWrite = "events:write": "Report attempts and answers.",
    AuditRead = "audit:read": "Read the audit log.",
    WebhooksWrite = "webhooks:write": "Make, change and delete webhook endpoints.",
    WebhooksRead = "webhooks:read": "See webhook endpoints and deliveries.",
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Scope {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.iter().copied().find(|scope| scope.as_str() == text).ok_or_else(|| {
            let known: Vec<_> = Self::ALL.iter().map(|scope| scope.as_str()).collect();
            format!("no such scope; the scopes are {}", known.join(", "))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scope_is_read_back_from_its_text() {
        for scope in Scope::ALL {
            assert_eq!(scope.as_str().parse(), Ok(*scope));
        }
        assert!("callbacks:*".parse::<Scope>().is_err());
    }
}
