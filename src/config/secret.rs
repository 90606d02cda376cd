//! Secrets, each from its own setting or from a file.

use std::ffi::OsStr;

use secrecy::{ExposeSecret as _, SecretString};

use super::errors::BadSetting;
use super::given::{Given, non_empty};

/// A secret from its own setting, or from the file that `*_FILE` names. If both are set, the file is not read.
pub fn secret(variable: &str, value: Option<Given<SecretString>>, file: Option<&OsStr>) -> Given<Option<SecretString>> {
    if let Some(text) = value.transpose()?.as_ref().and_then(|secret| non_empty(secret.expose_secret())) {
        return Ok(Some(text.into()));
    }
    let Some(file) = file.filter(|file| !file.is_empty()) else { return Ok(None) };
    let variable = format!("{variable}_FILE");
    let text = std::fs::read_to_string(file)
        .map_err(|error| BadSetting::new(&variable, format_args!("cannot be read: {error}")))?;
    let text = non_empty(&text).ok_or_else(|| BadSetting::new(&variable, "is an empty file"))?;
    Ok(Some(text.into()))
}
