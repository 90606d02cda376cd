//! The APIs of CXone. Each is a wire: the same operations, in the requests of that API. Nothing outside this directory knows
//! which wire is in use.

mod nice;
mod v2;

use std::sync::Arc;

use futures::future::BoxFuture;
use jiff::Timestamp;
use sqlx::PgPool;

use super::error::CxoneError;
use super::gate::StillWanted;
use super::grant::Grants;
use super::model::{
    CallPage, Check, ContactAnswer, ContactId, DialerCampaign, DialerInterval, Disposition, ForecastHour, HourRange,
    NewContact, RequestContext, SkillHours, SkillMapping, Sms, WaitingContact, Withdrawal,
};
use super::settings::Api;
use super::transport::Transport;
use crate::clock::Clock;
use crate::types::{CampaignId, DailyWindow, PhoneNumber};
use nice::Nice;
use v2::V2;

/// The skills of campaigns, for an API that has skills.
pub trait SkillMappings: Send + Sync {
    /// The skills that the campaign's settings name, if any.
    fn skills_of<'a>(&'a self, id: &'a CampaignId) -> BoxFuture<'a, Result<Option<SkillMapping>, sqlx::Error>>;
}

/// How the sender of an SMS is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SmsSenders {
    /// By a verified number.
    Numbers,
    /// By a channel.
    Channels,
}

/// What an API can do, where the APIs differ.
#[derive(Clone, Copy, Debug)]
pub struct Capabilities {
    pub sms_senders: SmsSenders,
    /// Whether a campaign may be named by its number.
    pub numbered_campaigns: bool,
    pub do_not_call_lists: bool,
    /// How many requests, one after the other, a pause takes.
    pub requests_of_a_pause: u32,
}

/// What became of calls, for an API that reports it. The documentation of the operations is at `Outcomes`.
pub trait OutcomeReports: Send + Sync {
    fn completed_calls<'a>(
        &'a self,
        transport: &'a Transport,
        since: Timestamp,
        skip: u32,
        context: RequestContext<'a>,
    ) -> BoxFuture<'a, Result<CallPage, CxoneError>>;

    fn dispositions<'a>(
        &'a self,
        transport: &'a Transport,
        context: RequestContext<'a>,
    ) -> BoxFuture<'a, Result<Vec<Disposition>, CxoneError>>;

    fn skill_of<'a>(
        &'a self,
        transport: &'a Transport,
        campaign: &'a CampaignId,
        context: RequestContext<'a>,
    ) -> BoxFuture<'a, Result<i64, CxoneError>>;

    fn waiting<'a>(
        &'a self,
        transport: &'a Transport,
        skill: i64,
        context: RequestContext<'a>,
    ) -> BoxFuture<'a, Result<Vec<WaitingContact>, CxoneError>>;

    fn withdraw<'a>(
        &'a self,
        transport: &'a Transport,
        number: i64,
        why: &'a str,
        context: RequestContext<'a>,
        still_wanted: &'a dyn StillWanted,
    ) -> BoxFuture<'a, Result<bool, CxoneError>>;
}

/// The calls of dialers, for an API that reports them. The documentation of the operations is at `DialerIntervals`.
pub trait DialerReports: Send + Sync {
    fn dialer_intervals<'a>(
        &'a self,
        transport: &'a Transport,
        range: (Timestamp, Timestamp),
        context: RequestContext<'a>,
    ) -> BoxFuture<'a, Result<Vec<DialerInterval>, CxoneError>>;

    fn dialer_skills<'a>(
        &'a self,
        transport: &'a Transport,
        campaign: &'a CampaignId,
        context: RequestContext<'a>,
    ) -> BoxFuture<'a, Result<Vec<i64>, CxoneError>>;
}

/// Changes of contacts that exist, for an API that has them. The documentation of the operations is at `ContactChanges`.
pub trait ContactUpdates: Send + Sync {
    fn withdraw<'a>(
        &'a self,
        transport: &'a Transport,
        id: ContactId,
        contact: &'a NewContact<'a>,
        context: RequestContext<'a>,
    ) -> BoxFuture<'a, Result<Withdrawal, CxoneError>>;

    fn move_to<'a>(
        &'a self,
        transport: &'a Transport,
        id: ContactId,
        contact: &'a NewContact<'a>,
        context: RequestContext<'a>,
    ) -> BoxFuture<'a, Result<Option<ContactId>, CxoneError>>;
}

/// An API. The documentation of the operations is at `Cxone`.
pub enum Wire {
    V2(V2),
    Nice(Box<Nice>),
}

impl Wire {
    /// The wire of an API, and how it grants tokens.
    pub fn new(api: Api, mappings: Arc<dyn SkillMappings>, pool: PgPool, clock: Clock) -> (Self, Arc<dyn Grants>) {
        match api {
            Api::V2(settings) => (Self::V2(V2::new(settings.base_url.clone())), Arc::new(v2::Auth::new(settings))),
            Api::Nice(settings) => {
                let (wire, auth) = Nice::new(settings, mappings, pool, clock);
                (Self::Nice(Box::new(wire)), auth)
            }
        }
    }

    pub fn capabilities(&self) -> Capabilities {
        match self {
            Self::V2(_) => v2::CAPABILITIES,
            Self::Nice(_) => nice::CAPABILITIES,
        }
    }

    /// What became of calls, where the API reports it.
    pub fn outcomes(&self) -> Option<&dyn OutcomeReports> {
        match self {
            Self::V2(_) => None,
            Self::Nice(wire) => Some(&**wire),
        }
    }

    /// The calls of dialers, where the API reports them.
    pub fn dialer_reports(&self) -> Option<&dyn DialerReports> {
        match self {
            Self::V2(_) => None,
            Self::Nice(wire) => Some(&**wire),
        }
    }

    /// Changes of contacts that exist, where the API has them.
    pub fn contact_updates(&self) -> Option<&dyn ContactUpdates> {
        match self {
            Self::V2(_) => None,
            Self::Nice(wire) => Some(&**wire),
        }
    }

    pub async fn read_campaign(
        &self,
        transport: &Transport,
        id: &CampaignId,
        context: RequestContext<'_>,
    ) -> Result<DialerCampaign, CxoneError> {
        match self {
            Self::V2(wire) => wire.read_campaign(transport, id, context).await,
            Self::Nice(wire) => Box::pin(wire.read_campaign(transport, id, context)).await,
        }
    }

    pub async fn update_campaign(
        &self,
        transport: &Transport,
        id: &CampaignId,
        wanted: &DialerCampaign,
        context: RequestContext<'_>,
        still_wanted: &dyn StillWanted,
    ) -> Result<DialerCampaign, CxoneError> {
        match self {
            Self::V2(wire) => wire.update_campaign(transport, id, wanted, context, still_wanted).await,
            Self::Nice(wire) => Box::pin(wire.update_campaign(transport, id, wanted, context, still_wanted)).await,
        }
    }

    pub async fn verify_skills(
        &self,
        transport: &Transport,
        mapping: &SkillMapping,
        context: RequestContext<'_>,
    ) -> Result<(), CxoneError> {
        match self {
            Self::V2(_) => Ok(()),
            Self::Nice(wire) => Box::pin(wire.verify_skills(transport, mapping, context)).await,
        }
    }

    pub async fn forecast(
        &self,
        transport: &Transport,
        id: &CampaignId,
        range: HourRange,
        context: RequestContext<'_>,
    ) -> Result<Vec<ForecastHour>, CxoneError> {
        match self {
            Self::V2(wire) => wire.forecast(transport, id, range, context).await,
            Self::Nice(wire) => Box::pin(wire.forecast(transport, id, range, context)).await,
        }
    }

    pub async fn is_on_do_not_call_list(
        &self,
        transport: &Transport,
        number: &PhoneNumber,
        context: RequestContext<'_>,
    ) -> Result<bool, CxoneError> {
        match self {
            Self::V2(_) => Ok(false),
            Self::Nice(wire) => Box::pin(wire.is_on_do_not_call_list(transport, number, context)).await,
        }
    }

    pub async fn create_contact(
        &self,
        transport: &Transport,
        contact: &NewContact<'_>,
        context: RequestContext<'_>,
    ) -> Result<ContactAnswer, CxoneError> {
        match self {
            Self::V2(wire) => wire.create_contact(transport, contact, context).await,
            Self::Nice(wire) => Box::pin(wire.create_contact(transport, contact, context)).await,
        }
    }

    pub async fn fence(
        &self,
        transport: &Transport,
        campaign: &CampaignId,
        window: &DailyWindow,
        apply: bool,
        context: RequestContext<'_>,
    ) -> Result<Vec<SkillHours>, CxoneError> {
        match self {
            Self::V2(_) => {
                let reason = "the API of CXone in use has no hours of skills".to_owned();
                Err(CxoneError::Rejected { status: 422, reason })
            }
            Self::Nice(wire) => Box::pin(wire.fence(transport, campaign, window, apply, context)).await,
        }
    }

    /// Read-only checks of the tenant.
    pub async fn check(&self, transport: &Transport, context: RequestContext<'_>) -> Vec<Check> {
        match self {
            Self::V2(_) => {
                let result = transport.authorize(context.class).await.map(|()| "granted".to_owned());
                vec![Check { name: "token", result }]
            }
            Self::Nice(wire) => Box::pin(wire.check(transport, context)).await,
        }
    }

    pub async fn send_sms(
        &self,
        transport: &Transport,
        sms: &Sms<'_>,
        context: RequestContext<'_>,
    ) -> Result<String, CxoneError> {
        match self {
            Self::V2(wire) => wire.send_sms(transport, sms, context).await,
            Self::Nice(wire) => Box::pin(wire.send_sms(transport, sms, context)).await,
        }
    }

    pub async fn find_sms(
        &self,
        transport: &Transport,
        reference: &str,
        context: RequestContext<'_>,
    ) -> Result<Option<String>, CxoneError> {
        match self {
            Self::V2(_) => Ok(None),
            Self::Nice(wire) => Box::pin(wire.find_sms(transport, reference, context)).await,
        }
    }
}
