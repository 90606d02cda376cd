//! The errors of all settings, collected so that they are reported together.

use std::fmt;

/// A missing or invalid setting, as one line that names it. Never contains the value, which may be a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadSetting(String);

impl BadSetting {
    /// The flag has the same words as the variable.
    pub fn new(variable: &str, fault: impl fmt::Display) -> Self {
        Self(format!("{variable} (--{}) {fault}", flag_of(variable)))
    }

    /// A required setting that is not set.
    pub fn missing(variable: &str) -> Self {
        Self::new(variable, "is required and not set")
    }

    /// Two settings, one of which is required, that are both not set.
    pub fn missing_both(variable: &str, other: &str) -> Self {
        Self::new(variable, format_args!("or {other} (--{}) is required and not set", flag_of(other)))
    }

    /// A flag that has no variable.
    pub fn of_flag(flag: &str, fault: impl fmt::Display) -> Self {
        Self(format!("--{flag} {fault}"))
    }

    /// An argument of the command line, which may have no variable, or one with other words.
    pub fn of_argument(argument: Option<&clap::Arg>, fault: impl fmt::Display) -> Self {
        let flag = argument.and_then(clap::Arg::get_long).map(|flag| format!("--{flag}"));
        let variable = argument.and_then(clap::Arg::get_env).map(|variable| variable.to_string_lossy());
        Self(match (variable, flag) {
            (Some(variable), Some(flag)) => format!("{variable} ({flag}) {fault}"),
            (None, Some(flag)) => format!("{flag} {fault}"),
            (_, None) => format!("{} {fault}", argument.map_or_else(String::new, ToString::to_string)),
        })
    }
}

fn flag_of(variable: &str) -> String {
    variable.to_ascii_lowercase().replace('_', "-")
}

/// All missing and invalid settings, one line for each.
#[derive(Debug, Default)]
pub struct SettingErrors(Vec<BadSetting>);

impl SettingErrors {
    /// The value, or none after adding its error.
    pub fn take<T>(&mut self, given: Result<T, BadSetting>) -> Option<T> {
        given.map_err(|bad| self.0.push(bad)).ok()
    }

    /// The value of a required setting, or none after adding its error.
    pub fn require<T>(&mut self, variable: &str, given: Result<Option<T>, BadSetting>) -> Option<T> {
        self.take(given.and_then(|value| value.ok_or_else(|| BadSetting::missing(variable))))
    }

    /// The value that was made of all settings, if there was no error. It is none only after an error.
    ///
    /// # Errors
    /// All that were added.
    pub fn finish<T>(self, value: Option<T>) -> Result<T, Self> {
        value.filter(|_| self.0.is_empty()).ok_or(self)
    }
}

impl fmt::Display for SettingErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.0.iter().map(|BadSetting(line)| format!("error: {line}")).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl std::error::Error for SettingErrors {}
