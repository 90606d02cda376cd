//! The client of NICE CXone. It knows no model of a slice, and the shapes of its requests and responses stay inside it.
//!
//! The requests are those of the `v2` contract. A tenant with another API would be another implementation of the same few
//! operations: read a forecast, create a contact, send an SMS, read or update a campaign.

mod breaker;
mod budget;
mod client;
mod conditions;
mod contact;
mod endpoint;
mod error;
mod forecasts;
#[cfg(test)]
mod fuzz_test;
mod gate;
mod model;
mod reason;
mod response;
mod settings;
mod slowest;
mod suspension;
mod token;
mod transport;
mod wire;

pub use budget::{Class, Decision};
pub use client::Cxone;
pub use endpoint::{Condition, Endpoint};
pub use error::CxoneError;
pub use gate::StillWanted;
pub use model::{CampaignState, ContactAnswer, DialerCampaign, ForecastHour, NewContact, RequestContext, Sms};
pub use settings::{AuthStyle, Settings};
