//! Why a request to CXone failed, and what that means.

use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use reqwest::StatusCode;
use reqwest::header::{HeaderMap, RETRY_AFTER};

use super::reason::{reason_of, transport_reason};
use crate::types::parse_retry_after;

/// The wait after a 429 without `Retry-After`.
const DEFAULT_RETRY_AFTER: Duration = Duration::from_secs(2);
/// The shortest wait after a 429, whatever `Retry-After` says.
const SHORTEST_RETRY_AFTER: Duration = Duration::from_secs(1);
/// A longer `Retry-After` is taken for a mistake.
const LONGEST_RETRY_AFTER: Duration = Duration::from_mins(10);

/// Why a request to CXone failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CxoneError {
    /// CXone answered 429. The request had no effect.
    #[error("CXone accepts no more requests for {} s", retry_after.as_secs())]
    RateLimited {
        /// How long to wait.
        retry_after: Duration,
    },
    /// The budget of this class is spent. Nothing was sent.
    #[error("the CXone budget is spent for {} s", retry_after.as_secs())]
    OverBudget {
        /// How long to wait.
        retry_after: Duration,
    },
    /// The credentials, or two tokens in a row, were refused. The request had no effect.
    #[error("CXone refused the credentials: {reason}")]
    Unauthorized {
        /// CXone's explanation.
        reason: String,
    },
    /// A scope or a role is missing. The request had no effect.
    #[error("CXone refused a request that needs {permission}: {reason}")]
    Forbidden {
        /// What the request needs: a scope, or a permission of a role.
        permission: &'static str,
        /// CXone's explanation.
        reason: String,
    },
    /// CXone has no such campaign. The request had no effect.
    #[error("CXone has no such campaign: {reason}")]
    NotFound {
        /// CXone's explanation.
        reason: String,
    },
    /// Someone else changed the resource since it was read.
    #[error("CXone reports a conflict: {reason}")]
    Conflict {
        /// CXone's explanation.
        reason: String,
    },
    /// CXone refused the request, and will refuse it again. It had no effect.
    #[error("CXone refused with status {status}: {reason}")]
    Rejected {
        /// 400 or 422.
        status: u16,
        /// CXone's explanation.
        reason: String,
    },
    /// CXone refused this contact, and named its id: it does not exist.
    #[error("CXone refused the contact with status {status}: {reason}")]
    ContactRefused {
        /// 400 or 422.
        status: u16,
        /// CXone's explanation.
        reason: String,
    },
    /// The request could not be sent in time. Nothing was sent.
    #[error("it was too late to send the request to CXone")]
    NotSentInTime,
    /// Just before the request was to be sent, its context did not want it any more. Nothing was done.
    #[error("the change is no longer wanted")]
    Superseded,
    /// CXone failed (a 5xx). By its contract nothing was done.
    #[error("CXone failed: {reason}")]
    ServerError {
        /// When to come back, where CXone said so.
        retry_after: Option<Duration>,
        /// The status and CXone's words.
        reason: String,
    },
    /// CXone takes no requests (503), or could not be reached. Nothing was done.
    #[error("CXone is unavailable: {reason}")]
    Unavailable {
        /// When to come back, where CXone said so.
        retry_after: Option<Duration>,
        /// CXone's words, or what kept it from being reached.
        reason: String,
    },
    /// There was no answer, or one that does not show the outcome: the request may have had its effect.
    #[error("the outcome at CXone is unknown: {reason}")]
    OutcomeUnknown {
        /// What went wrong.
        reason: String,
    },
    /// CXone reported success in an unknown format: the request may have had its effect.
    #[error("CXone sent an answer in an unknown format: {reason}")]
    UnexpectedAnswer {
        /// What is wrong with the answer.
        reason: String,
    },
}

/// A failed request, with the whole body of the answer where there was one.
#[derive(Debug)]
pub struct Failed {
    pub error: CxoneError,
    pub body: Bytes,
}

impl From<CxoneError> for Failed {
    fn from(error: CxoneError) -> Self {
        Self { error, body: Bytes::new() }
    }
}

impl From<Failed> for CxoneError {
    fn from(failed: Failed) -> Self {
        failed.error
    }
}

impl CxoneError {
    /// Its code in the failures of callbacks and in metrics.
    pub fn code(&self) -> &'static str {
        match self {
            Self::RateLimited { .. } => "cxone-rate-limited",
            Self::OverBudget { .. } => "cxone-over-budget",
            Self::Unauthorized { .. } => "cxone-unauthorized",
            Self::Forbidden { .. } => "cxone-forbidden",
            Self::NotFound { .. } | Self::Rejected { .. } | Self::ContactRefused { .. } => "cxone-rejected",
            Self::NotSentInTime => "cxone-not-sent-in-time",
            Self::Superseded => "cxone-superseded",
            Self::Conflict { .. } => "cxone-conflict",
            Self::ServerError { .. } | Self::Unavailable { .. } => "cxone-unavailable",
            Self::OutcomeUnknown { .. } => "cxone-outcome-unknown",
            Self::UnexpectedAnswer { .. } => "cxone-unexpected-answer",
        }
    }

    /// How long to wait, where that is known.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::RateLimited { retry_after } | Self::OverBudget { retry_after } => Some(*retry_after),
            Self::ServerError { retry_after, .. } | Self::Unavailable { retry_after, .. } => *retry_after,
            Self::Unauthorized { .. }
            | Self::Forbidden { .. }
            | Self::NotFound { .. }
            | Self::Conflict { .. }
            | Self::Rejected { .. }
            | Self::ContactRefused { .. }
            | Self::NotSentInTime
            | Self::Superseded
            | Self::OutcomeUnknown { .. }
            | Self::UnexpectedAnswer { .. } => None,
        }
    }

    /// Whether CXone accepted the token before the request failed.
    pub fn came_after_authorization(&self) -> bool {
        match self {
            Self::Forbidden { .. }
            | Self::NotFound { .. }
            | Self::Conflict { .. }
            | Self::Rejected { .. }
            | Self::ContactRefused { .. }
            | Self::UnexpectedAnswer { .. } => true,
            Self::RateLimited { .. }
            | Self::OverBudget { .. }
            | Self::Unauthorized { .. }
            | Self::ServerError { .. }
            | Self::Unavailable { .. }
            | Self::NotSentInTime
            | Self::Superseded
            | Self::OutcomeUnknown { .. } => false,
        }
    }

    /// From an answer that is not a success.
    pub fn from_answer(
        status: StatusCode,
        headers: &HeaderMap,
        body: &[u8],
        permission: &'static str,
        now: Timestamp,
    ) -> Self {
        let reason = reason_of(body, headers);
        match status {
            StatusCode::UNAUTHORIZED => Self::Unauthorized { reason },
            StatusCode::FORBIDDEN => Self::Forbidden { permission, reason },
            StatusCode::NOT_FOUND => Self::NotFound { reason },
            StatusCode::CONFLICT => Self::Conflict { reason },
            StatusCode::TOO_MANY_REQUESTS => {
                let wait = retry_after(headers, now).unwrap_or(DEFAULT_RETRY_AFTER);
                Self::RateLimited { retry_after: wait.max(SHORTEST_RETRY_AFTER) }
            }
            StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY => {
                Self::Rejected { status: status.as_u16(), reason }
            }
            // A gateway that timed out, or a status that CXone does not document, does not show the outcome.
            _ if status == StatusCode::GATEWAY_TIMEOUT || status.is_client_error() => {
                Self::OutcomeUnknown { reason: format!("status {}: {reason}", status.as_u16()) }
            }
            StatusCode::SERVICE_UNAVAILABLE => {
                Self::Unavailable { retry_after: retry_after(headers, now), reason: format!("status 503: {reason}") }
            }
            _ if status.is_server_error() => Self::ServerError {
                retry_after: retry_after(headers, now),
                reason: format!("status {}: {reason}", status.as_u16()),
            },
            _ => Self::UnexpectedAnswer { reason: format!("status {}", status.as_u16()) },
        }
    }

    /// From a success in an unknown format.
    pub fn unexpected(reason: impl Into<String>) -> Self {
        Self::UnexpectedAnswer { reason: reason.into() }
    }

    /// From a request that cannot be sent now.
    pub fn unavailable(reason: impl Into<String>) -> Self {
        Self::Unavailable { retry_after: None, reason: reason.into() }
    }

    /// From a request without any answer.
    pub fn from_transport(error: &reqwest::Error) -> Self {
        let reason = transport_reason(error);
        if error.is_connect() || error.is_builder() {
            return Self::Unavailable { retry_after: None, reason };
        }
        Self::OutcomeUnknown { reason }
    }
}

/// The `Retry-After` header, within the limit.
fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let wait = parse_retry_after(headers.get(RETRY_AFTER)?.to_str().ok()?, now)?;
    Some(wait.min(LONGEST_RETRY_AFTER))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(value: &str) -> HeaderMap {
        HeaderMap::from_iter([(RETRY_AFTER, value.parse().unwrap())])
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_and_has_a_limit() {
        let now: Timestamp = "2026-11-20T15:00:00Z".parse().unwrap();
        for (text, seconds) in [
            ("7", Some(7)),
            ("0", Some(0)),
            ("-5", None),
            ("99999999999", Some(600)),
            ("Fri, 20 Nov 2026 15:00:09 GMT", Some(9)),
            ("Fri, 20 Nov 2020 15:00:00 GMT", Some(0)),
            ("NaN", None),
            ("inf", None),
            ("soon", None),
        ] {
            assert_eq!(retry_after(&headers(text), now).map(|wait| wait.as_secs()), seconds, "{text}");
        }
    }

    #[test]
    fn each_status_has_its_code() {
        let now = Timestamp::UNIX_EPOCH;
        for (status, code) in [
            (400, "cxone-rejected"),
            (401, "cxone-unauthorized"),
            (403, "cxone-forbidden"),
            (404, "cxone-rejected"),
            (408, "cxone-outcome-unknown"),
            (409, "cxone-conflict"),
            (418, "cxone-outcome-unknown"),
            (421, "cxone-outcome-unknown"),
            (422, "cxone-rejected"),
            (425, "cxone-outcome-unknown"),
            (429, "cxone-rate-limited"),
            (500, "cxone-unavailable"),
            (502, "cxone-unavailable"),
            (503, "cxone-unavailable"),
            (504, "cxone-outcome-unknown"),
            (302, "cxone-unexpected-answer"),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            let error = CxoneError::from_answer(status, &HeaderMap::new(), b"", "a:scope", now);
            assert_eq!(error.code(), code, "{status}");
        }
    }
}
