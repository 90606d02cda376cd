//! Parsers for the command line that never fail: they keep the error, so that all errors are reported together.

use std::ffi::OsStr;
use std::fmt::Display;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::ops::RangeInclusive;
use std::str::FromStr;

use clap::builder::{BoolValueParser, EnumValueParser, PossibleValue, StringValueParser, TypedValueParser};
use secrecy::SecretString;

use super::errors::BadSetting;
use crate::types::Fault;

/// The value of an argument, or what is wrong with it.
pub type Given<T> = Result<T, BadSetting>;

/// Keeps the error of another parser.
#[derive(Clone)]
pub struct Keep<P>(P);

/// Keeps the error of this parser.
pub fn keep<P: TypedValueParser>(parser: P) -> Keep<P> {
    Keep(parser)
}

impl<P: TypedValueParser> Keep<P> {
    fn fault(&self, error: &clap::Error) -> String {
        if let Some(known) = self.0.possible_values() {
            let names: Vec<String> = known.map(|value| value.get_name().to_owned()).collect();
            return format!("must be one of {}", names.join(", "));
        }
        if error.kind() == clap::error::ErrorKind::InvalidUtf8 {
            return "must be UTF-8".to_owned();
        }
        std::error::Error::source(error).map_or_else(|| "is invalid".to_owned(), ToString::to_string)
    }
}

impl<P: TypedValueParser> TypedValueParser for Keep<P> {
    type Value = Given<P::Value>;

    fn parse_ref(
        &self,
        command: &clap::Command,
        argument: Option<&clap::Arg>,
        value: &OsStr,
    ) -> Result<Self::Value, clap::Error> {
        let parsed = self.0.parse_ref(command, argument, value);
        Ok(parsed.map_err(|error| BadSetting::of_argument(argument, self.fault(&error))))
    }

    /// For `--help`.
    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        self.0.possible_values()
    }
}

/// Any text.
pub fn text() -> Keep<StringValueParser> {
    keep(StringValueParser::new())
}

/// Any text, which is not shown.
pub fn secret_text() -> Keep<impl TypedValueParser<Value = SecretString>> {
    keep(StringValueParser::new().map(SecretString::from))
}

/// One of the values of an enum.
pub fn choice<E: clap::ValueEnum + Clone + Send + Sync + 'static>() -> Keep<EnumValueParser<E>> {
    keep(EnumValueParser::new())
}

/// `true` or `false`.
pub fn switch() -> Keep<BoolValueParser> {
    keep(BoolValueParser::new())
}

/// A number in this range.
pub fn number<T>(range: RangeInclusive<T>) -> Keep<impl TypedValueParser<Value = T>>
where
    T: FromStr + PartialOrd + Display + Clone + Send + Sync + 'static,
{
    keep(move |text: &str| {
        let number = text.parse().ok().filter(|number| range.contains(number));
        number.ok_or_else(|| format!("must be {} to {}", range.start(), range.end()))
    })
}

/// What `parse` of one of our types accepts.
pub fn parsed<T: Clone + Send + Sync + 'static>(
    parse: fn(&str) -> Result<T, Fault>,
) -> Keep<impl TypedValueParser<Value = T>> {
    keep(move |text: &str| parse(text).map_err(|fault| fault.detail))
}

/// An address and a port. A name is resolved.
pub fn address() -> Keep<impl TypedValueParser<Value = SocketAddr>> {
    keep(resolved)
}

/// An address and a port. A name is resolved.
pub fn resolved(text: &str) -> Result<SocketAddr, &'static str> {
    let found = text.to_socket_addrs().ok().and_then(|mut addresses| addresses.next());
    found.ok_or("must be an address and a port, such as 127.0.0.1:8080")
}

/// An empty setting counts as not set. Space around the text, such as the newline at the end of a file, is dropped.
pub fn non_empty(text: &str) -> Option<&str> {
    Some(text.trim()).filter(|text| !text.is_empty())
}

/// The text of a setting that may be absent.
pub fn optional_text(given: Option<Given<String>>) -> Given<Option<String>> {
    Ok(given.transpose()?.as_deref().and_then(non_empty).map(str::to_owned))
}
