//! The `v2` contract: campaigns, contacts and forecasts by id, an OAuth client with scopes. A contact can be created again
//! under its own id.

mod auth;
mod campaign;
mod contact;
mod forecast;
#[cfg(test)]
mod fuzz_test;
mod session;

use jiff::Timestamp;
use reqwest::Method;
use serde::de::IgnoredAny;
use serde_json::{Value, json};

use super::{Capabilities, SmsSenders};
use crate::cxone::endpoint::Operation;
use crate::cxone::error::{CxoneError, Failed};
use crate::cxone::gate::StillWanted;
use crate::cxone::json as read;
use crate::cxone::model::{
    ContactAnswer, DialerCampaign, ForecastHour, HourRange, NewContact, RequestContext, Sms, SmsSender,
};
use crate::cxone::response::Accepted;
use crate::cxone::transport::{Call, Transport};
use crate::types::CampaignId;

pub use auth::Auth;

/// The answers that are successes.
const ACCEPTED: Accepted = Accepted { statuses: &[200, 201, 202], max_body: 256 * 1024, is_503_certain: true };

/// What the contract has.
pub const CAPABILITIES: Capabilities = Capabilities {
    sms_senders: SmsSenders::Numbers,
    numbered_campaigns: false,
    do_not_call_lists: false,
    // A read and an update.
    requests_of_a_pause: 2,
};

/// The contract, at this address.
pub struct V2 {
    /// Scheme and host, without a slash at the end.
    base_url: String,
}

/// What the calls differ in.
#[derive(Clone)]
struct Request<'a> {
    operation: Operation,
    method: Method,
    path: &'a str,
    query: &'a [(&'a str, &'a str)],
    body: Option<&'a Value>,
    scope: &'static str,
    send_by: Option<Timestamp>,
    still_wanted: Option<&'a dyn StillWanted>,
}

/// Whether an answer is a page or a text. CXone answers JSON, or nothing.
fn is_of_gateway(body: &[u8]) -> bool {
    !body.is_empty() && serde_json::from_slice::<IgnoredAny>(body).is_err()
}

/// A campaign's id needs no escaping: [`CampaignId`] has only characters that a path may contain.
fn campaign_path(campaign_id: &CampaignId) -> String {
    format!("/api/v2/outbound/campaigns/{campaign_id}")
}

impl V2 {
    pub fn new(base_url: String) -> Self {
        Self { base_url }
    }

    async fn call<T: serde::de::DeserializeOwned>(
        &self,
        transport: &Transport,
        request: Request<'_>,
        context: RequestContext<'_>,
    ) -> Result<T, Failed> {
        let call = Call {
            operation: request.operation,
            method: request.method,
            url: &format!("{}{}", self.base_url, request.path),
            query: request.query,
            body: request.body,
            permission: request.scope,
            accepted: ACCEPTED,
            context,
            send_by: request.send_by,
            still_wanted: request.still_wanted,
        };
        transport.call(call, |body| read::object(body).ok()).await
    }

    /// The same, and once more after a 404 of a gateway. Only for requests that are safe to repeat.
    async fn call_past_404<T: serde::de::DeserializeOwned>(
        &self,
        transport: &Transport,
        request: Request<'_>,
        context: RequestContext<'_>,
    ) -> Result<T, Failed> {
        match self.call(transport, request.clone(), context).await {
            Err(Failed { error: CxoneError::NotFound { .. }, body }) if is_of_gateway(&body) => {
                self.call(transport, request, context).await
            }
            answered => answered,
        }
    }

    pub async fn read_campaign(
        &self,
        transport: &Transport,
        campaign_id: &CampaignId,
        context: RequestContext<'_>,
    ) -> Result<DialerCampaign, CxoneError> {
        let request = Request {
            operation: Operation::ReadCampaign,
            method: Method::GET,
            path: &campaign_path(campaign_id),
            query: &[],
            body: None,
            scope: "the scope outbound:statistics:read",
            send_by: None,
            still_wanted: None,
        };
        self.call::<campaign::Campaign>(transport, request, context).await?.read(campaign_id)
    }

    pub async fn update_campaign(
        &self,
        transport: &Transport,
        campaign_id: &CampaignId,
        wanted: &DialerCampaign,
        context: RequestContext<'_>,
        still_wanted: &dyn StillWanted,
    ) -> Result<DialerCampaign, CxoneError> {
        let request = Request {
            operation: Operation::UpdateCampaign,
            method: Method::PUT,
            path: &campaign_path(campaign_id),
            query: &[],
            body: Some(&campaign::update_body(wanted)),
            scope: "the scope outbound:campaign:write",
            send_by: None,
            still_wanted: Some(still_wanted),
        };
        self.call::<campaign::Campaign>(transport, request, context).await?.read(campaign_id)
    }

    pub async fn forecast(
        &self,
        transport: &Transport,
        campaign_id: &CampaignId,
        range: HourRange,
        context: RequestContext<'_>,
    ) -> Result<Vec<ForecastHour>, CxoneError> {
        let (start, end) = (range.start.to_string(), range.end.to_string());
        let request = Request {
            operation: Operation::Forecast,
            method: Method::GET,
            path: "/api/v2/outbound/forecast",
            query: &[
                ("campaignId", campaign_id.as_str()),
                ("startTime", &start),
                ("endTime", &end),
                ("granularity", "hourly"),
            ],
            body: None,
            scope: "the scope outbound:forecast:read",
            send_by: None,
            still_wanted: None,
        };
        self.call_past_404::<forecast::Forecast>(transport, request, context).await?.hours_within(range)
    }

    pub async fn create_contact(
        &self,
        transport: &Transport,
        contact: &NewContact<'_>,
        context: RequestContext<'_>,
    ) -> Result<ContactAnswer, CxoneError> {
        let request = Request {
            operation: Operation::CreateContact,
            method: Method::POST,
            path: "/api/v2/outbound/contacts",
            query: &[],
            body: Some(&contact::body(contact)),
            scope: "the scope outbound:contact:write",
            send_by: contact.send_by,
            still_wanted: Some(contact.still_wanted),
        };
        match self.call_past_404::<contact::ContactCreated>(transport, request, context).await {
            Ok(created) => created.confirm(contact.callback_id),
            Err(failed) => contact::not_created(failed, contact.callback_id),
        }
    }

    pub async fn send_sms(
        &self,
        transport: &Transport,
        sms: &Sms<'_>,
        context: RequestContext<'_>,
    ) -> Result<String, CxoneError> {
        let SmsSender::Number(from) = sms.from else {
            return Err(CxoneError::Rejected { status: 422, reason: "an SMS needs a verified sender".into() });
        };
        let body = json!({"to": sms.to.as_str(), "from": from.as_str(), "message": sms.message, "channels": ["sms"]});
        let request = Request {
            operation: Operation::SendSms,
            method: Method::POST,
            path: "/api/v2/messaging/sessions",
            query: &[],
            body: Some(&body),
            scope: "the scope messaging:session:write",
            send_by: sms.send_by,
            still_wanted: Some(sms.still_wanted),
        };
        self.call::<session::SessionCreated>(transport, request, context).await?.session_id()
    }
}
