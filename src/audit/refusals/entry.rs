//! The audit entry of a refused request: codes and known names only.

use std::collections::BTreeMap;

use serde::Serialize;
use uuid::Uuid;

use crate::audit::action::Action;
use crate::audit::model::{Actor, Entry, Outcome};
use crate::clock::Clock;
use crate::http::Refusal;
use crate::types::{CampaignId, parse_uuid};

/// The detail of a refused request.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RefusedDetail<'a> {
    method: &'static str,
    /// The template of the path.
    route: &'a str,
    status: u16,
    /// The slug of the problem that was answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<&'static str>,
    /// The pointer and code of each.
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    faults: &'a [String],
    /// How many items of a batch were refused, by the slug of their problem.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    items: &'a BTreeMap<&'static str, usize>,
    /// The revoked or expired key that was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    key_id: Option<Uuid>,
    /// The webhook endpoint or the delivery of the path.
    #[serde(skip_serializing_if = "Option::is_none")]
    resource_id: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    omitted: Option<u64>,
}

/// The detail of an entry that only counts.
#[derive(Serialize)]
struct OmittedDetail {
    /// The refusals of the actor that were not recorded since its last entry.
    omitted: u64,
}

/// The entry of a refusal, before which `omitted` others were not recorded.
pub(super) fn refused(refusal: &Refusal, actor: Actor, omitted: u64) -> Entry {
    let (clock, now) = (&refusal.info.clock, refusal.info.clock.now());
    let named = Named::by(refusal);
    let detail = RefusedDetail {
        method: refusal.method,
        route: &refusal.route,
        status: refusal.status,
        problem: refusal.problem,
        faults: &refusal.faults,
        items: &refusal.items,
        key_id: refusal.ended_key,
        resource_id: named.other,
        omitted: (omitted > 0).then_some(omitted),
    };
    Entry {
        campaign_id: named.campaign.map(|id| id.to_string()),
        callback_id: named.callback,
        latency_ms: i64::try_from(now.duration_since(refusal.info.arrived_at).as_millis()).ok(),
        request_id: Some(refusal.info.request_id.clone()),
        ..Entry::new(clock.new_id(), now, Action::RequestRefused, actor, Outcome::Refused).with_detail(&detail)
    }
}

/// The entry that counts what was left out, if no other entry does.
pub(super) fn omitted(actor: Actor, omitted: u64, clock: &Clock) -> Entry {
    Entry::new(clock.new_id(), clock.now(), Action::RequestRefused, actor, Outcome::Refused)
        .with_detail(&OmittedDetail { omitted })
}

/// What the path of a request names, where it is of the right form.
#[derive(Debug, Default, PartialEq)]
struct Named {
    campaign: Option<CampaignId>,
    callback: Option<Uuid>,
    other: Option<Uuid>,
}

impl Named {
    fn by(refusal: &Refusal) -> Self {
        let named = Self::in_path(&refusal.route, &refusal.info.path);
        // Others than UUIDs may be any text: of a sender without a key they are not recorded.
        let is_kept = |id: &CampaignId| refusal.caller.is_some() || id.is_uuid();
        Self { campaign: named.campaign.filter(is_kept), ..named }
    }

    fn in_path(route: &str, path: &str) -> Self {
        let mut named = Self::default();
        for (parameter, text) in route.split('/').zip(path.split('/')) {
            match parameter {
                "{campaignId}" => named.campaign = CampaignId::parse(text).ok(),
                "{id}" if route.starts_with("/v1/callbacks/") => named.callback = parse_uuid(text).ok(),
                "{id}" => named.other = parse_uuid(text).ok(),
                _ => {}
            }
        }
        named
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ids_of_a_path_are_recorded_if_they_have_the_right_form() {
        let id = Uuid::nil();
        let named = |route: &str, text: &str| Named::in_path(route, &route.replace("{id}", text));
        assert_eq!(
            named("/v1/callbacks/{id}/cancel", &id.to_string()),
            Named { callback: Some(id), ..Named::default() }
        );
        assert_eq!(named("/v1/webhooks/{id}/test", &id.to_string()), Named { other: Some(id), ..Named::default() });
        assert_eq!(named("/v1/callbacks/{id}/cancel", "+12025550198"), Named::default());
        let campaign =
            |text: &str| Named::in_path("/v1/campaigns/{campaignId}/pause", &format!("/v1/campaigns/{text}/pause"));
        assert_eq!(campaign("a-1").campaign, CampaignId::parse("a-1").ok());
        assert_eq!(campaign("a%20b"), Named::default());
        assert_eq!(campaign(&"a".repeat(65)), Named::default());
    }
}
