//! The audit entries of changes of keys.

use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;

use super::record::{Grant, NewKey};
use crate::audit::{Action, Actor, Entry, Outcome};
use crate::clock::Clock;

/// Who changes a key.
pub struct Author<'a> {
    pub clock: &'a Clock,
    pub actor: Actor,
    /// The request that asks for the change, if there is one.
    pub request_id: Option<String>,
}

impl Author<'_> {
    fn entry(&self, action: Action, detail: &impl Serialize) -> Entry {
        let (id, now) = (self.clock.new_id(), self.clock.now());
        Entry {
            request_id: self.request_id.clone(),
            ..Entry::new(id, now, action, self.actor.clone(), Outcome::Succeeded).with_detail(detail)
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct KeyDetail<'a> {
    key_id: Uuid,
    #[serde(skip_serializing_if = "Option::is_none")]
    replaces: Option<Uuid>,
    name: &'a str,
    scopes: Vec<&'static str>,
    campaigns: Option<Vec<String>>,
    rate: Option<String>,
    expires_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    old_key_ends_at: Option<Timestamp>,
}

impl<'a> KeyDetail<'a> {
    fn new(key_id: Uuid, name: &'a str, grant: &Grant) -> Self {
        Self {
            key_id,
            replaces: None,
            name,
            scopes: grant.scopes.iter().map(|scope| scope.as_str()).collect(),
            campaigns: grant.campaigns.texts(),
            rate: grant.rate.map(|rate| rate.to_string()),
            expires_at: grant.expires_at,
            old_key_ends_at: None,
        }
    }
}

/// The entry of a key that is created.
pub fn created(author: &Author<'_>, key: &NewKey) -> Entry {
    author.entry(Action::KeyCreated, &KeyDetail::new(key.id, &key.name, &key.grant))
}

/// The entry of a key that is replaced by one that allows the same.
pub fn rotated(
    author: &Author<'_>,
    (old, new): (Uuid, Uuid),
    name: &str,
    grant: &Grant,
    old_ends_at: Timestamp,
) -> Entry {
    let detail =
        KeyDetail { replaces: Some(old), old_key_ends_at: Some(old_ends_at), ..KeyDetail::new(new, name, grant) };
    author.entry(Action::KeyRotated, &detail)
}

/// The detail of a key that was revoked.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RevokedDetail {
    key_id: Uuid,
}

/// The entry of a key that is revoked.
pub fn revoked(author: &Author<'_>, key_id: Uuid) -> Entry {
    author.entry(Action::KeyRevoked, &RevokedDetail { key_id })
}

/// The detail of a command that was refused.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RefusedDetail {
    command: &'static str,
    problem: &'static str,
    key_id: Uuid,
}

/// The entry of a command that was refused.
pub fn refused(author: &Author<'_>, command: &'static str, problem: &'static str, key_id: Uuid) -> Entry {
    let entry = author.entry(Action::RequestRefused, &RefusedDetail { command, problem, key_id });
    Entry { outcome: Outcome::Refused, ..entry }
}
