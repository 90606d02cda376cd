//! The text of the SMS that confirms a callback.

mod gsm7;
mod text;

pub use text::confirmation_text;
