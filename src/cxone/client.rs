//! The operations of CXone's API that Ringback uses.

use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use sqlx::PgPool;

use super::error::CxoneError;
use super::forecasts::Forecasts;
use super::gate::{Gate, StillWanted};
use super::model::{
    ContactAnswer, DialerCampaign, ForecastHour, NewContact, RequestContext, SkillMapping, Sms, SmsSender,
};
use super::settings::Settings;
use super::token::TokenCache;
use super::transport::Transport;
use super::wire::{Capabilities, SkillMappings, SmsSenders, Wire};
use crate::clock::Clock;
use crate::types::{CampaignId, Interval, PhoneNumber, TimeWindow};

/// The limit for opening a connection.
const CONNECT_WITHIN: Duration = Duration::from_secs(3);
/// The time that a call may take beyond its requests: the waits for the budget.
const CALL_SLACK: Duration = Duration::from_secs(5);

/// The client. One for all requests of a replica.
pub struct Cxone {
    pub(super) transport: Transport,
    pub(super) wire: Wire,
    forecasts: Forecasts,
    clock: Clock,
    call_within: Duration,
}

impl Cxone {
    /// A client with these settings.
    ///
    /// # Errors
    /// Where the machine's TLS cannot be set up.
    pub fn new(
        settings: Settings,
        mappings: Arc<dyn SkillMappings>,
        pool: PgPool,
        clock: Clock,
    ) -> Result<Self, reqwest::Error> {
        Self::through(None, settings, mappings, pool, clock)
    }

    /// A client that sends every request through this proxy, if there is one.
    ///
    /// # Errors
    /// Where the machine's TLS cannot be set up, or the proxy's URL is invalid.
    pub fn through(
        proxy: Option<&SecretString>,
        settings: Settings,
        mappings: Arc<dyn SkillMappings>,
        pool: PgPool,
        clock: Clock,
    ) -> Result<Self, reqwest::Error> {
        let call_within = settings.api.longest_call() * settings.timeout + CALL_SLACK;
        let http = crate::tls::client_builder_through(proxy)?
            .timeout(settings.timeout)
            .connect_timeout(settings.timeout.min(CONNECT_WITHIN))
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("ringback/", env!("CARGO_PKG_VERSION")))
            .build()?;
        let gate = Arc::new(Gate::new(&settings, pool.clone(), clock.clone()));
        let (wire, auth) = Wire::new(settings.api, mappings, pool, clock.clone());
        let tokens = TokenCache::new(auth, http.clone(), Arc::clone(&gate), clock.clone());
        let transport = Transport::new(http, Arc::new(tokens), gate, clock.clone());
        Ok(Self { transport, wire, forecasts: Forecasts::default(), clock, call_within })
    }

    /// What the API in use can do.
    pub fn capabilities(&self) -> Capabilities {
        self.wire.capabilities()
    }

    /// The longest that a call may take, with its tokens.
    pub fn call_within(&self) -> Duration {
        self.call_within
    }

    pub(super) async fn in_time<T>(
        &self,
        late: impl FnOnce(String) -> CxoneError,
        call: impl Future<Output = Result<T, CxoneError>>,
    ) -> Result<T, CxoneError> {
        tokio::time::timeout(self.call_within, call)
            .await
            .unwrap_or_else(|_| Err(late(format!("no answer in {} s", self.call_within.as_secs()))))
    }

    /// Reads a campaign.
    ///
    /// # Errors
    /// The failure of CXone. The call is safe to repeat. `NotFound` where CXone has no such campaign.
    pub async fn read_campaign(
        &self,
        campaign_id: &CampaignId,
        context: RequestContext<'_>,
    ) -> Result<DialerCampaign, CxoneError> {
        self.in_time(CxoneError::unavailable, self.wire.read_campaign(&self.transport, campaign_id, context)).await
    }

    /// Updates a campaign, and returns it as CXone shows it then. `still_wanted` is asked each time before the request is
    /// sent.
    ///
    /// # Errors
    /// The failure of CXone. The call is safe to repeat. `Conflict` where someone changed the campaign since it was read;
    /// `Superseded` where the change is not wanted any more. After an unknown outcome the change may have been made.
    pub async fn update_campaign(
        &self,
        campaign_id: &CampaignId,
        wanted: &DialerCampaign,
        context: RequestContext<'_>,
        still_wanted: &dyn StillWanted,
    ) -> Result<DialerCampaign, CxoneError> {
        let update = self.wire.update_campaign(&self.transport, campaign_id, wanted, context, still_wanted);
        self.in_time(unknown, update).await
    }

    /// The hours of a campaign's forecast that overlap the window, in order of time, at most five minutes old. May be empty.
    ///
    /// # Errors
    /// The failure of CXone. The call is safe to repeat.
    pub async fn forecast(
        &self,
        campaign_id: &CampaignId,
        window: &TimeWindow,
        context: RequestContext<'_>,
    ) -> Result<Vec<ForecastHour>, CxoneError> {
        let span = Interval { start: window.start(), end: window.end() };
        self.forecast_between(campaign_id, span, context).await
    }

    /// The same for a span of any length.
    ///
    /// # Errors
    /// The failure of CXone. The call is safe to repeat.
    pub async fn forecast_between(
        &self,
        campaign_id: &CampaignId,
        span: Interval,
        context: RequestContext<'_>,
    ) -> Result<Vec<ForecastHour>, CxoneError> {
        let fetch = |range| self.wire.forecast(&self.transport, campaign_id, range, context);
        self.in_time(CxoneError::unavailable, self.forecasts.between(campaign_id, span, &self.clock, fetch)).await
    }

    /// Creates a contact, or finds that it exists. The call is safe to repeat with the same id.
    ///
    /// # Errors
    /// The failure of CXone. `ContactRefused` where it refused this contact by its id. After an unknown outcome the contact
    /// may exist.
    pub async fn create_contact(
        &self,
        contact: &NewContact<'_>,
        context: RequestContext<'_>,
    ) -> Result<ContactAnswer, CxoneError> {
        self.in_time(unknown, self.wire.create_contact(&self.transport, contact, context)).await
    }

    /// Whether a do-not-call list of CXone has the number. Never, where CXone has none.
    ///
    /// # Errors
    /// The failure of CXone. The call is safe to repeat.
    pub async fn is_on_do_not_call_list(
        &self,
        number: &PhoneNumber,
        context: RequestContext<'_>,
    ) -> Result<bool, CxoneError> {
        let search = self.wire.is_on_do_not_call_list(&self.transport, number, context);
        self.in_time(CxoneError::unavailable, search).await
    }

    /// Checks that a skill takes callbacks.
    ///
    /// # Errors
    /// The failure of CXone. The call is safe to repeat. `Rejected` or `NotFound` where the skill takes none.
    pub async fn verify_skills(&self, mapping: &SkillMapping, context: RequestContext<'_>) -> Result<(), CxoneError> {
        let check = self.wire.verify_skills(&self.transport, mapping, context);
        self.in_time(CxoneError::unavailable, check).await
    }

    /// The sender of an SMS: the number, or the channel where CXone sends by channels. None without a channel.
    pub fn sms_sender<'a>(&self, number: &'a PhoneNumber, channel: Option<&'a str>) -> Option<SmsSender<'a>> {
        match self.capabilities().sms_senders {
            SmsSenders::Numbers => Some(SmsSender::Number(number)),
            SmsSenders::Channels => channel.map(SmsSender::Channel),
        }
    }

    /// The id of the SMS with this reference, where CXone finds it. None says nothing: CXone may not look, or find it later.
    ///
    /// # Errors
    /// The failure of CXone. The call is safe to repeat.
    pub async fn find_sms(&self, reference: &str, context: RequestContext<'_>) -> Result<Option<String>, CxoneError> {
        let search = self.wire.find_sms(&self.transport, reference, context);
        self.in_time(CxoneError::unavailable, search).await
    }

    /// Sends an SMS, and returns the id of CXone's session. Not safe to repeat after an unknown outcome.
    ///
    /// # Errors
    /// The failure of CXone. After an unknown outcome, or an answer in an unknown format, the SMS may have been sent.
    pub async fn send_sms(&self, sms: &Sms<'_>, context: RequestContext<'_>) -> Result<String, CxoneError> {
        self.in_time(unknown, self.wire.send_sms(&self.transport, sms, context)).await
    }
}

fn unknown(reason: String) -> CxoneError {
    CxoneError::OutcomeUnknown { reason }
}
