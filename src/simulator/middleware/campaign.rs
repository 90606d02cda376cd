//! The campaign that a request names.

use axum::http::request::Parts;
use serde_json::Value;

use crate::simulator::fields::pairs;
use crate::simulator::model::Model;
use crate::simulator::route::{CAMPAIGNS, Endpoint, Route, SERVICES, Wire};

/// The campaign in the path of a `v2` call; in the `nice` API, the campaign of the skill, campaign number or callback in
/// its path, query or body.
pub(super) fn named(model: &Model, endpoint: Endpoint, parts: &Parts, body: &[u8]) -> Option<String> {
    if endpoint.wire == Wire::V2 {
        return parts.uri.path().strip_prefix(CAMPAIGNS).map(str::to_owned);
    }
    let in_path = parts.uri.path().strip_prefix(SERVICES).and_then(|path| in_path(model, path));
    in_path.or_else(|| {
        let in_query = parts.uri.query().and_then(in_query);
        let skill = in_query.or_else(|| in_body(endpoint.route, body))?;
        model.campaign_of_skill(skill)
    })
}

fn in_path(model: &Model, path: &str) -> Option<String> {
    let mut segments = path.split('/').skip(1);
    let (kind, id) = (segments.next()?, segments.next()?.parse().ok()?);
    match kind {
        "skills" => model.campaign_of_skill(id),
        "campaigns" => model.campaign_of_number(id),
        "scheduled-callbacks" => model.campaign_of_skill(model.skill_of_callback(id)?),
        _ => None,
    }
}

fn in_query(query: &str) -> Option<u64> {
    let pairs = pairs(query).ok()?;
    pairs.iter().find(|(name, _)| name.eq_ignore_ascii_case("skillId"))?.1.parse().ok()
}

fn in_body(route: Route, body: &[u8]) -> Option<u64> {
    if route != Route::Contact {
        return None;
    }
    let body: Value = serde_json::from_slice(body).ok()?;
    let skill = body.get("skillId")?;
    skill.as_u64().or_else(|| skill.as_str()?.parse().ok())
}
