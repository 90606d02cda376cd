//! The states of a callback and of its confirmation, and why one of them failed.

use serde::Serialize;
use strum::{AsRefStr, EnumString, IntoStaticStr, VariantArray};
use utoipa::ToSchema;

use crate::cxone::CxoneError;

/// The state of a callback.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema, AsRefStr, EnumString, IntoStaticStr, VariantArray)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Status {
    /// Ringback has stored it, and CXone has not confirmed its contact yet.
    Accepted,
    /// CXone has the contact and will call.
    Scheduled,
    /// It cannot be scheduled. `failure` says why.
    Failed,
    /// Its window ended before CXone confirmed the contact.
    Expired,
    /// It was cancelled before its contact was sent to CXone.
    Cancelled,
}

/// The state of the SMS that confirms a callback.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema, AsRefStr, EnumString, VariantArray)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Confirmation {
    /// Not sent yet. It stays pending where the callback ends without a contact.
    Pending,
    /// CXone has accepted it.
    Sent,
    /// It was not sent, and will not be.
    Failed,
    /// CXone did not answer, so it may have been sent. It is not sent again.
    Unknown,
    /// The number cannot receive SMS. `reason` says why.
    Skipped,
}

/// Why no confirmation is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema, AsRefStr, EnumString, VariantArray)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum SkipReason {
    /// The number is certainly a fixed line.
    Landline,
    /// CXone sends text messages by channels, and none is set.
    NoChannel,
}

/// Where the time zone of a callback's texts comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TimezoneSource {
    /// The request names it.
    Request,
    /// It is certain for the phone number.
    PhoneNumber,
    /// It is that of the service.
    Default,
}

/// Why a callback, or its confirmation, has failed or has not succeeded yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Failure {
    /// A stable code for programs.
    #[schema(value_type = String, example = "cxone-rejected")]
    pub code: FailureCode,
    /// A description for people. It includes CXone's own message, if there is one.
    pub detail: String,
}

impl Failure {
    /// A failure with a code of Ringback's own.
    pub fn new(code: FailureCode, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into() }
    }
}

impl From<&CxoneError> for Failure {
    fn from(error: &CxoneError) -> Self {
        Self { code: error.into(), detail: error.to_string() }
    }
}

/// The kind of a [`Failure`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, AsRefStr, EnumString, IntoStaticStr, VariantArray)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum FailureCode {
    /// A hold or the regulatory window of the campaign leaves no time to call.
    CampaignHeld,
    /// CXone forecasts no agents for the window.
    NoForecast,
    /// The window has ended.
    WindowPassed,
    /// A do-not-call list of CXone has the number.
    OnDoNotCallList,
    /// CXone has called already.
    AlreadyCalled,
    /// CXone has the contact, for one of several dispatch times.
    CxoneTimeUnknown,
    /// An attempt ended while it was sending the SMS.
    SmsOutcomeUnknown,
    /// The dispatch time has passed without an SMS.
    SmsTooLate,
    CxoneRateLimited,
    CxoneOverBudget,
    CxoneUnauthorized,
    CxoneForbidden,
    CxoneRejected,
    CxoneNotSentInTime,
    CxoneSuperseded,
    CxoneConflict,
    CxoneUnavailable,
    CxoneOutcomeUnknown,
    CxoneUnexpectedAnswer,
}

/// The same codes as [`CxoneError::code`].
impl From<&CxoneError> for FailureCode {
    fn from(error: &CxoneError) -> Self {
        match error {
            CxoneError::RateLimited { .. } => Self::CxoneRateLimited,
            CxoneError::OverBudget { .. } => Self::CxoneOverBudget,
            CxoneError::Unauthorized { .. } => Self::CxoneUnauthorized,
            CxoneError::Forbidden { .. } => Self::CxoneForbidden,
            CxoneError::NotFound { .. } | CxoneError::Rejected { .. } | CxoneError::ContactRefused { .. } => {
                Self::CxoneRejected
            }
            CxoneError::NotSentInTime => Self::CxoneNotSentInTime,
            CxoneError::Superseded => Self::CxoneSuperseded,
            CxoneError::Conflict { .. } => Self::CxoneConflict,
            CxoneError::ServerError { .. } | CxoneError::Unavailable { .. } => Self::CxoneUnavailable,
            CxoneError::OutcomeUnknown { .. } => Self::CxoneOutcomeUnknown,
            CxoneError::UnexpectedAnswer { .. } => Self::CxoneUnexpectedAnswer,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::callbacks::model::call_outcome::CallStatus;

    /// The text in the database, in the API and in logs is the same.
    fn assert_same_text<T: AsRef<str> + Serialize + std::str::FromStr + PartialEq + std::fmt::Debug + Copy>(all: &[T]) {
        for value in all {
            assert_eq!(json!(value), value.as_ref());
            assert_eq!(value.as_ref().parse().ok(), Some(*value));
        }
        assert!("".parse::<T>().is_err() && "Other".parse::<T>().is_err());
    }

    #[test]
    fn each_value_is_written_and_read_as_one_text() {
        assert_same_text(Status::VARIANTS);
        assert_same_text(Confirmation::VARIANTS);
        assert_same_text(SkipReason::VARIANTS);
        assert_same_text(FailureCode::VARIANTS);
        assert_same_text(CallStatus::VARIANTS);
    }

    #[test]
    fn a_failure_of_cxone_keeps_its_code() {
        let (reason, retry_after) = (String::new, Duration::ZERO);
        for error in [
            CxoneError::RateLimited { retry_after },
            CxoneError::OverBudget { retry_after },
            CxoneError::Unauthorized { reason: reason() },
            CxoneError::Forbidden { permission: "s", reason: reason() },
            CxoneError::NotFound { reason: reason() },
            CxoneError::Rejected { status: 400, reason: reason() },
            CxoneError::ContactRefused { status: 422, reason: reason() },
            CxoneError::NotSentInTime,
            CxoneError::Superseded,
            CxoneError::ServerError { retry_after: None, reason: reason() },
            CxoneError::Unavailable { retry_after: None, reason: reason() },
            CxoneError::OutcomeUnknown { reason: reason() },
            CxoneError::UnexpectedAnswer { reason: reason() },
        ] {
            assert_eq!(FailureCode::from(&error).as_ref(), error.code());
        }
    }
}
