//! The client of NICE CXone. It knows no model of a slice, and the shapes of its requests and responses stay inside it.
//!
//! `Cxone` has the operations. `wire` has the APIs in which they are sent.

mod breaker;
mod budget;
mod check;
mod client;
mod conditions;
mod contact_changes;
mod dialer_intervals;
mod endpoint;
mod error;
mod fence;
mod forecasts;
#[cfg(test)]
mod fuzz_test;
mod gate;
mod grant;
mod json;
mod model;
mod outcomes;
mod reason;
mod response;
mod settings;
mod slowest;
mod suspension;
mod token;
mod transport;
mod wire;

pub use budget::{Class, ClassUse, Decision, NewJob, PACE, QuotaUse};
pub use client::Cxone;
pub use contact_changes::ContactChanges;
pub use dialer_intervals::DialerIntervals;
pub use endpoint::{Condition, Endpoint, EndpointCondition};
pub use error::CxoneError;
pub use gate::StillWanted;
pub use model::{
    CallPage, CampaignState, Check, ContactAnswer, ContactId, DialerCampaign, DialerInterval, Disposition,
    ForecastHour, NewContact, ReportedCall, RequestContext, SkillHours, SkillMapping, Sms, SmsSender, WaitingContact,
    Withdrawal,
};
pub use outcomes::Outcomes;
pub use settings::{
    Api, AuthStyle, CallbackTimesSetting, NiceSettings, Settings, TokenSource, V2Settings, is_loopback,
};
pub use wire::{Capabilities, SkillMappings, SmsSenders};
