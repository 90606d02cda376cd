//! The API that NICE publishes for tenants: integer skills, scheduled callbacks, Digital for messages. Nothing that creates
//! may be repeated: what an unanswered request did is looked up.

mod auth;
mod business_unit;
mod callback_list;
mod callback_times;
mod callbacks;
mod check;
mod contact_changes;
mod dialer;
mod dialer_intervals;
mod digital;
mod do_not_call;
mod fence;
mod forecast;
#[cfg(test)]
mod fuzz_test;
mod outcomes;
mod reply;
mod skill_store;
mod skills;
mod tenant;
mod zones;

use std::sync::Arc;

use reqwest::Method;
use serde_json::Value;
use sqlx::PgPool;

use super::{Capabilities, SkillMappings, SmsSenders};
use crate::clock::Clock;
use crate::cxone::endpoint::Operation;
use crate::cxone::error::CxoneError;
use crate::cxone::gate::StillWanted;
use crate::cxone::model::RequestContext;
use crate::cxone::response::Accepted;
use crate::cxone::settings::NiceSettings;
use crate::cxone::transport::{Call, Transport};
use business_unit::BusinessUnit;
use callback_list::CallbackLists;
use callback_times::CallbackTimes;
use forecast::Forecasts;
use skill_store::SkillStore;
use skills::SkillCache;
use tenant::Discovery;

pub use auth::Auth;

/// The statuses that are successes.
const SUCCESSES: &[u16] = &[200, 201, 202, 204, 206];
/// The most bytes of an answer, unless the request allows more. The callbacks of a skill are listed in one answer.
const MAX_BODY: usize = 16 * 1024 * 1024;

/// What the API has.
pub const CAPABILITIES: Capabilities = Capabilities {
    sms_senders: SmsSenders::Channels,
    numbered_campaigns: true,
    do_not_call_lists: true,
    // The list of the skills, twice the first skill and then the others at once, and the stops at once.
    requests_of_a_pause: 6,
};

/// The API, with what is remembered about the tenant.
pub struct Nice {
    discovery: Discovery,
    mappings: Arc<dyn SkillMappings>,
    skills: SkillCache,
    stopped: SkillStore,
    lists: CallbackLists,
    times: CallbackTimes,
    business_unit: BusinessUnit,
    forecasts: Forecasts,
    clock: Clock,
}

/// A request of the API.
struct Request<'a> {
    operation: Operation,
    method: Method,
    /// After the version, or after the base of Digital.
    path: String,
    query: &'a [(&'a str, &'a str)],
    body: Option<&'a Value>,
    /// The permission that the role of the access key's user needs.
    permission: &'static str,
    /// The most bytes of the answer.
    max_body: usize,
    send_by: Option<jiff::Timestamp>,
    still_wanted: Option<&'a dyn StillWanted>,
}

impl<'a> Request<'a> {
    fn get(operation: Operation, path: String, permission: &'static str) -> Self {
        Self::new(operation, Method::GET, path, permission)
    }

    fn new(operation: Operation, method: Method, path: String, permission: &'static str) -> Self {
        Self {
            operation,
            method,
            path,
            query: &[],
            body: None,
            permission,
            max_body: MAX_BODY,
            send_by: None,
            still_wanted: None,
        }
    }

    fn query(self, query: &'a [(&'a str, &'a str)]) -> Self {
        Self { query, ..self }
    }

    fn body(self, body: &'a Value) -> Self {
        Self { body: Some(body), ..self }
    }
}

impl Nice {
    /// The API, and its authentication.
    pub fn new(
        settings: NiceSettings,
        mappings: Arc<dyn SkillMappings>,
        pool: PgPool,
        clock: Clock,
    ) -> (Self, Arc<Auth>) {
        let auth = Arc::new(Auth::new(settings.clone()));
        let wire = Self {
            times: CallbackTimes::new(settings.callback_times, pool.clone()),
            discovery: Discovery::new(settings, Arc::clone(&auth)),
            mappings,
            skills: SkillCache::default(),
            stopped: SkillStore::new(pool.clone()),
            lists: CallbackLists::default(),
            business_unit: BusinessUnit::default(),
            forecasts: Forecasts::new(pool),
            clock,
        };
        (wire, auth)
    }

    /// Sends a request to the ACD.
    async fn call<T>(
        &self,
        transport: &Transport,
        request: Request<'_>,
        context: RequestContext<'_>,
        read: impl FnOnce(&[u8]) -> Option<T>,
    ) -> Result<T, CxoneError> {
        let base = Box::pin(self.discovery.api(transport, context)).await?;
        self.call_at(transport, &base, request, context, read).await
    }

    async fn call_at<T>(
        &self,
        transport: &Transport,
        base: &str,
        request: Request<'_>,
        context: RequestContext<'_>,
        read: impl FnOnce(&[u8]) -> Option<T>,
    ) -> Result<T, CxoneError> {
        let creates = matches!(request.operation, Operation::CreateContact | Operation::SendSms);
        let call = Call {
            operation: request.operation,
            method: request.method,
            url: &format!("{base}/{}", request.path),
            query: request.query,
            body: request.body,
            permission: request.permission,
            accepted: Accepted { statuses: SUCCESSES, max_body: request.max_body, is_503_certain: !creates },
            context,
            send_by: request.send_by,
            still_wanted: request.still_wanted,
        };
        let answered = transport.call(call, read).await.map_err(CxoneError::from);
        if matches!(&answered, Err(CxoneError::Unavailable { retry_after: None, .. })) {
            self.discovery.forget();
        }
        answered
    }
}

/// The result of a statement about the tenant.
fn stored<T>(result: Result<T, sqlx::Error>) -> Result<T, CxoneError> {
    result.map_err(|error| {
        tracing::warn!(error = %error, "what is known about the tenant cannot be read or stored");
        CxoneError::unavailable("what is known about the tenant cannot be read or stored")
    })
}
