//! What a campaign is and how it changes. Pure.

pub mod business_hours;
pub mod regulatory_window;
pub mod restrictions;
pub mod settings;
