//! What is known of a key, apart from its secret.

use std::sync::Arc;

use jiff::Timestamp;
use uuid::Uuid;

use crate::http::Scope;
use crate::types::{AllowedCampaigns, Fault, Rate};

/// The most campaigns to which a key is restricted.
pub const MAX_CAMPAIGNS: usize = 1000;

/// What a key allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// What it may do; at least one.
    pub scopes: Arc<[Scope]>,
    /// The campaigns with which it may do so.
    pub campaigns: AllowedCampaigns,
    /// The requests that it may send; any number, where absent.
    pub rate: Option<Rate>,
    /// It is refused from then on; never, where absent.
    pub expires_at: Option<Timestamp>,
}

impl Grant {
    /// The scopes are kept in order, each once.
    pub fn new(
        mut scopes: Vec<Scope>,
        campaigns: AllowedCampaigns,
        rate: Option<Rate>,
        expires_at: Option<Timestamp>,
    ) -> Self {
        scopes.sort_unstable();
        scopes.dedup();
        Self { scopes: scopes.into(), campaigns, rate, expires_at }
    }

    /// What the other grant has beyond this one; empty where it has no more.
    pub fn missing_for(&self, other: &Self) -> Vec<&'static str> {
        let has_end = |end: Timestamp| other.expires_at.is_some_and(|other| other <= end);
        let has_rate = |rate: Rate| other.rate.is_some_and(|other| rate.covers(other));
        let covered = [
            ("scopes", other.scopes.iter().all(|scope| self.scopes.contains(scope))),
            ("campaigns", self.campaigns.covers(&other.campaigns)),
            ("rate", self.rate.is_none_or(has_rate)),
            ("expiresAt", self.expires_at.is_none_or(has_end)),
        ];
        covered.into_iter().filter(|(_, covered)| !covered).map(|(name, _)| name).collect()
    }
}

/// A key to create.
#[derive(Debug)]
pub struct NewKey {
    /// Its id, which the audit log shows.
    pub id: Uuid,
    /// The display name.
    pub name: String,
    /// What it allows.
    pub grant: Grant,
}

/// A stored key, without its secret or hash.
#[derive(Clone, Debug)]
pub struct KeyRecord {
    /// Its id, which the audit log shows.
    pub id: Uuid,
    /// The display name.
    pub name: Arc<str>,
    /// What it allows.
    pub grant: Grant,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last used: up to a minute earlier than the last request.
    pub last_used_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
    /// The key that it replaces.
    pub replaces: Option<Uuid>,
    /// The key that replaces it.
    pub replaced_by: Option<Uuid>,
}

impl KeyRecord {
    /// Whether it is neither revoked nor expired.
    pub fn is_valid(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && self.grant.expires_at.is_none_or(|end| now < end)
    }
}

/// The name of a key: 1 to 100 characters, none of them a control character, without space around them.
///
/// # Errors
/// `bad-name` for anything else.
pub fn parse_name(text: &str) -> Result<String, Fault> {
    if !(1..=100).contains(&text.chars().count()) {
        return Err(Fault::new("bad-name", "must be 1 to 100 characters"));
    }
    if text.trim() != text || text.chars().any(char::is_control) {
        return Err(Fault::new("bad-name", "must have no control characters, and no space around it"));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::CampaignId;

    fn grant(scopes: &[Scope], campaigns: &[&str], rate: &str, end: &str) -> Grant {
        let campaigns: Vec<_> = campaigns.iter().map(|id| CampaignId::parse(id).unwrap()).collect();
        let campaigns = if campaigns.is_empty() { AllowedCampaigns::all() } else { AllowedCampaigns::only(campaigns) };
        Grant::new(scopes.to_vec(), campaigns, Rate::parse(rate).ok(), end.parse().ok())
    }

    #[test]
    fn a_grant_is_missing_what_another_one_has_beyond_it() {
        let (read, both) = (&[Scope::CallbacksRead][..], &[Scope::CallbacksRead, Scope::CallbacksWrite][..]);
        let limited = grant(read, &["a"], "50/s", "2027-01-01T00:00:00Z");
        let all = grant(both, &[], "", "");
        assert!(limited.missing_for(&limited).is_empty() && all.missing_for(&limited).is_empty());
        assert!(all.missing_for(&all).is_empty());
        assert_eq!(limited.missing_for(&all), ["scopes", "campaigns", "rate", "expiresAt"]);
        for (other, missing) in [
            (grant(both, &["a"], "1/s", "2026-12-01T00:00:00Z"), "scopes"),
            (grant(read, &["a", "b"], "1/s", "2026-12-01T00:00:00Z"), "campaigns"),
            (grant(read, &["a"], "51/s", "2026-12-01T00:00:00Z"), "rate"),
            (grant(read, &["a"], "1/s", "2027-01-01T00:00:01Z"), "expiresAt"),
        ] {
            assert_eq!(limited.missing_for(&other), [missing]);
        }
    }
}
