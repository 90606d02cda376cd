//! Types that all modules use. Each is valid once it is parsed. Nothing here depends on the rest of the crate.

mod allowed_campaigns;
mod campaign_id;
mod daily_window;
mod external_id;
mod fault;
#[cfg(test)]
mod fuzz_test;
mod id;
pub mod instant;
mod interval;
mod language;
mod masking;
mod metadata;
mod number_zone;
mod phone_number;
mod rate;
mod retry_after;
mod time_window;
mod time_zone;
mod trusted_proxies;

pub use allowed_campaigns::AllowedCampaigns;
pub use campaign_id::CampaignId;
pub use daily_window::{DailyWindow, parse_time_of_day};
pub use external_id::ExternalId;
pub use fault::Fault;
pub use id::parse_uuid;
pub use instant::parse_instant;
pub use interval::Interval;
pub use language::Language;
pub use masking::mask_phone_numbers;
pub use metadata::Metadata;
pub use number_zone::zone_of_number;
pub use phone_number::{PhoneNumber, Region};
pub use rate::Rate;
pub use retry_after::parse_retry_after;
pub use time_window::TimeWindow;
pub use time_zone::TimeZone;
pub use trusted_proxies::TrustedProxies;
