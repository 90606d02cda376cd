//! `ringback keys list`

use std::borrow::Cow;

use jiff::Timestamp;
use serde_json::json;

use crate::cli::table::{self, printable, written};
use crate::keys::KeyRecord;

/// Prints a table, or a line of JSON for each key.
pub fn print(keys: &[KeyRecord], now: Timestamp, as_json: bool) -> anyhow::Result<()> {
    let text = if as_json {
        keys.iter().map(|key| line(key) + "\n").collect()
    } else {
        let head =
            ["ID", "NAME", "SCOPES", "CAMPAIGNS", "RATE", "CREATED", "LAST USE", "EXPIRES", "REVOKED", "REPLACED BY"];
        table::render(head, keys.iter().map(|key| row(key, now)).collect(), table::terminal_width())
    };
    written(text.as_bytes())?;
    Ok(())
}

fn row(key: &KeyRecord, now: Timestamp) -> [Cow<'_, str>; 10] {
    let scopes: Vec<_> = key.grant.scopes.iter().map(|scope| scope.as_str()).collect();
    let campaigns = key.grant.campaigns.texts().map_or("all".into(), |campaigns| campaigns.join(","));
    let expires = match key.grant.expires_at {
        Some(at) if at <= now => format!("expired {at}").into(),
        Some(at) => format!("until {at}").into(),
        None => Cow::from("never"),
    };
    let time = |at: Option<Timestamp>| at.map_or(Cow::from("-"), |at| at.to_string().into());
    [
        key.id.to_string().into(),
        printable(&key.name),
        scopes.join(",").into(),
        campaigns.into(),
        key.grant.rate.map_or("-".into(), |rate| rate.to_string().into()),
        key.created_at.to_string().into(),
        time(key.last_used_at),
        expires,
        time(key.revoked_at),
        key.replaced_by.map_or("-".into(), |id| id.to_string().into()),
    ]
}

/// The members of a key as `GET /v1/keys` has them.
fn line(key: &KeyRecord) -> String {
    let scopes: Vec<_> = key.grant.scopes.iter().map(|scope| scope.as_str()).collect();
    json!({
        "id": key.id, "name": &*key.name, "scopes": scopes, "campaigns": key.grant.campaigns.texts(),
        "rate": key.grant.rate.map(|rate| rate.to_string()), "createdAt": key.created_at,
        "lastUsedAt": key.last_used_at, "expiresAt": key.grant.expires_at, "revokedAt": key.revoked_at,
        "replaces": key.replaces, "replacedBy": key.replaced_by,
    })
    .to_string()
}
