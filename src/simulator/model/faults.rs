//! The configured faults, and which call each applies to.

use std::sync::Arc;

use axum::http::HeaderValue;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::campaign::Attribute;
use crate::simulator::fields::present;
use crate::simulator::refusal::Refusal;
use crate::simulator::route::Route;

/// The calls that can take effect after their answer.
const CAN_BE_LATE: [Route; 5] =
    [Route::CampaignUpdate, Route::Contact, Route::ContactUpdate, Route::ContactDelete, Route::Message];

/// The kind of a fault; the documentation of `simulator` says what a client sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::simulator) enum Kind {
    Status,
    Latency,
    Hang,
    Drop,
    Body,
    Late,
    Ignore,
    RefuseAttribute,
}

/// What decides which fault applies to a request.
pub(in crate::simulator) struct Call<'a> {
    pub(in crate::simulator) route: Route,
    /// The campaign that it names.
    pub(in crate::simulator) campaign: Option<&'a str>,
    /// The attributes of the campaign that it would change.
    pub(in crate::simulator) changes: Vec<Attribute>,
}

/// The calls that a fault applies to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(in crate::simulator) enum Which {
    Every(Star),
    One(Route),
}

/// `*`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::simulator) enum Star {
    #[serde(rename = "*")]
    Star,
}

/// A fault as it was configured.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::simulator) struct Fault {
    route: Which,
    /// Only requests that name this campaign.
    #[serde(skip_serializing_if = "Option::is_none")]
    campaign: Option<String>,
    pub(in crate::simulator) kind: Kind,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::simulator) attribute: Option<Attribute>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::simulator) status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::simulator) retry_after: Option<String>,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub(in crate::simulator) body: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::simulator) latency_ms: Option<u64>,
    /// How many more requests it applies to; no limit if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    times: Option<u64>,
    #[serde(default = "always")]
    rate: f64,
    #[serde(default)]
    pub(in crate::simulator) after_work: bool,
}

fn always() -> f64 {
    1.0
}

impl Fault {
    /// Refuses a fault that makes no sense.
    pub(in crate::simulator) fn check(&self) -> Result<(), Refusal> {
        if self.kind == Kind::Status && self.status.is_none() {
            return Err(Refusal::bad_request("a fault of kind status needs a status"));
        }
        if self.status.is_some_and(|status| !(200..=599).contains(&status)) {
            return Err(Refusal::bad_request("status must be 200 to 599"));
        }
        if self.kind == Kind::Body && self.body.is_none() {
            return Err(Refusal::bad_request("a fault of kind body needs a body"));
        }
        if matches!(self.kind, Kind::Latency | Kind::Late) && self.latency_ms.is_none() {
            return Err(Refusal::bad_request("a fault of kind latency or late needs latencyMs"));
        }
        if self.kind == Kind::RefuseAttribute && self.attribute.is_none() {
            return Err(Refusal::bad_request("a fault of kind refuseAttribute needs an attribute"));
        }
        self.check_change()?;
        if !(0.0..=1.0).contains(&self.rate) {
            return Err(Refusal::bad_request("rate must be 0 to 1"));
        }
        if self.times == Some(0) {
            return Err(Refusal::bad_request("times must be at least 1"));
        }
        if self.retry_after.as_deref().is_some_and(|value| HeaderValue::from_str(value).is_err()) {
            return Err(Refusal::bad_request("retryAfter cannot be sent as a header"));
        }
        Ok(())
    }

    /// Refuses a fault of changes on a call that it cannot apply to.
    fn check_change(&self) -> Result<(), Refusal> {
        let is_of = |routes: &[Route]| routes.iter().any(|&route| self.route == Which::One(route)) && !self.after_work;
        match self.kind {
            Kind::Ignore | Kind::RefuseAttribute if !is_of(&[Route::CampaignUpdate]) => {
                let description = "faults of kind ignore and refuseAttribute are of campaignUpdate, without afterWork";
                Err(Refusal::bad_request(description))
            }
            Kind::Late if !is_of(&CAN_BE_LATE) => {
                Err(Refusal::bad_request("a fault of kind late is of a call that changes something, without afterWork"))
            }
            _ => Ok(()),
        }
    }

    fn matches(&self, call: &Call<'_>) -> bool {
        let is_of_route = match self.route {
            Which::Every(Star::Star) => true,
            Which::One(one) => one == call.route,
        };
        let is_of_campaign = |wanted: &String| call.campaign.is_some_and(|named| named.eq_ignore_ascii_case(wanted));
        is_of_route
            && self.campaign.as_ref().is_none_or(is_of_campaign)
            && self.attribute.is_none_or(|attribute| call.changes.contains(&attribute))
    }
}

/// The active faults, in the order in which they were added.
#[derive(Default)]
pub(in crate::simulator) struct Faults {
    last_id: u64,
    active: Vec<(u64, Arc<Fault>)>,
}

impl Faults {
    /// Adds a fault. Returns its id.
    pub(in crate::simulator) fn add(&mut self, fault: Fault) -> u64 {
        self.last_id += 1;
        self.active.push((self.last_id, Arc::new(fault)));
        self.last_id
    }

    /// The fault that applies to this call, if any; its `times` goes down by one.
    pub(in crate::simulator) fn next(&mut self, call: &Call<'_>, random_share: impl Fn() -> f64) -> Option<Arc<Fault>> {
        let applies = |fault: &Fault| fault.matches(call) && (fault.rate >= 1.0 || random_share() < fault.rate);
        let index = self.active.iter().position(|(_, fault)| applies(fault))?;
        let (_, fault) = self.active.get_mut(index)?;
        let applied = fault.clone();
        match fault.times {
            Some(1) => drop(self.active.remove(index)),
            Some(left) => Arc::make_mut(fault).times = Some(left - 1),
            None => {}
        }
        Some(applied)
    }

    /// Removes a fault. Returns false if there is none with this id.
    pub(in crate::simulator) fn remove(&mut self, id: u64) -> bool {
        let before = self.active.len();
        self.active.retain(|(other, _)| *other != id);
        self.active.len() < before
    }

    pub(in crate::simulator) fn clear(&mut self) {
        self.active.clear();
    }

    /// Every fault with its id and the `times` left.
    pub(in crate::simulator) fn list(&self) -> Vec<Value> {
        let listed = self.active.iter().map(|(id, fault)| {
            let mut shown = json!(fault.as_ref());
            shown["id"] = (*id).into();
            shown
        });
        listed.collect()
    }
}
