//! What CXone's failures mean, whatever their form was.

use std::time::Duration;

use jiff::Timestamp;
use reqwest::StatusCode;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use serde_json::Value;

use crate::types::parse_retry_after;

/// Where CXone says 429 without saying for how long.
const DEFAULT_RETRY_AFTER: Duration = Duration::from_secs(2);
/// After a 429 nobody comes back sooner than this, whatever it says.
const SHORTEST_RETRY_AFTER: Duration = Duration::from_secs(1);
/// A `Retry-After` beyond this is taken for a mistake.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(600);
/// How much of CXone's own words is kept.
const MAX_REASON: usize = 500;

/// Why a call to CXone did not do what it was for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CxoneError {
    /// Over the quota. Nothing was done.
    #[error("CXone takes no more requests for {} s", retry_after.as_secs())]
    RateLimited {
        /// When to come back.
        retry_after: Duration,
    },
    /// Ringback itself has spent what it may. Nothing was sent.
    #[error("the CXone budget is spent for {} s", retry_after.as_secs())]
    OverBudget {
        /// When there is room again.
        retry_after: Duration,
    },
    /// The credentials, or two tokens in a row, were refused. Nothing was done.
    #[error("CXone refused the OAuth client: {reason}")]
    Unauthorized {
        /// CXone's words.
        reason: String,
    },
    /// A scope or a role is missing. Nothing was done.
    #[error("the OAuth client lacks the scope {scope} in CXone: {reason}")]
    Forbidden {
        /// The scope that this call needs.
        scope: &'static str,
        /// CXone's words.
        reason: String,
    },
    /// CXone knows no such campaign. Nothing was done.
    #[error("CXone knows no such campaign: {reason}")]
    NotFound {
        /// CXone's words.
        reason: String,
    },
    /// What was to be changed was changed by someone else meanwhile.
    #[error("CXone reports a conflict: {reason}")]
    Conflict {
        /// CXone's words.
        reason: String,
    },
    /// CXone refused what it was sent, and will refuse it again. Nothing was done by this request.
    #[error("CXone refused with status {status}: {reason}")]
    Rejected {
        /// 400 or 422.
        status: u16,
        /// CXone's words.
        reason: String,
    },
    /// CXone refused this very contact, by its id: there is none.
    #[error("CXone refused the contact with status {status}: {reason}")]
    ContactRefused {
        /// 400 or 422.
        status: u16,
        /// CXone's words.
        reason: String,
    },
    /// The time by which the request was of use had passed before it could be sent. Nothing was done.
    #[error("it was too late to send the request to CXone")]
    NotSentInTime,
    /// Just before the request was to be sent, its asker did not want it any more. Nothing was done.
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
    /// The request went out, and was not answered or with what does not say what became of it: it may have been done.
    #[error("the outcome at CXone is unknown: {reason}")]
    OutcomeUnknown {
        /// What went wrong.
        reason: String,
    },
    /// CXone said that it worked, in words that make no sense: it may have been done.
    #[error("CXone gave an answer of no known form: {reason}")]
    UnexpectedAnswer {
        /// What is wrong with it.
        reason: String,
    },
}

impl CxoneError {
    /// Its name in failures and metrics.
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

    /// When to come back, where that is known.
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

    /// CXone took the token, and then found something else wrong.
    pub(super) fn came_after_authorization(&self) -> bool {
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

    /// From an answer that is no success.
    pub(super) fn from_answer(
        status: StatusCode,
        headers: &HeaderMap,
        body: &[u8],
        scope: &'static str,
        now: Timestamp,
    ) -> Self {
        let reason = reason(body, headers);
        match status {
            StatusCode::UNAUTHORIZED => Self::Unauthorized { reason },
            StatusCode::FORBIDDEN => Self::Forbidden { scope, reason },
            StatusCode::NOT_FOUND => Self::NotFound { reason },
            StatusCode::CONFLICT => Self::Conflict { reason },
            StatusCode::TOO_MANY_REQUESTS => {
                let wait = retry_after(headers, now).unwrap_or(DEFAULT_RETRY_AFTER);
                Self::RateLimited { retry_after: wait.max(SHORTEST_RETRY_AFTER) }
            }
            StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY => {
                Self::Rejected { status: status.as_u16(), reason }
            }
            // A gateway that gave up waiting, or says what is not known of CXone, cannot tell what became of the request.
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

    /// From a request that got no answer at all.
    pub(super) fn from_transport(error: &reqwest::Error) -> Self {
        let reason = transport_reason(error);
        if error.is_connect() || error.is_builder() {
            return Self::Unavailable { retry_after: None, reason };
        }
        Self::OutcomeUnknown { reason }
    }
}

/// The innermost cause says most; the URL in the outermost says too much.
fn transport_reason(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "no answer in time".into();
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    scrub(&cause.to_string())
}

/// Never absurdly long.
fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let wait = parse_retry_after(headers.get(RETRY_AFTER)?.to_str().ok()?, now)?;
    Some(wait.min(LONGEST_RETRY_AFTER))
}

/// CXone's own words, where it has any: from the members in which it is known to put them, else the body as it is.
pub(super) fn reason(body: &[u8], headers: &HeaderMap) -> String {
    let from_header = || headers.get("icStatusDescription").and_then(|value| value.to_str().ok()).map(str::to_owned);
    let text = String::from_utf8_lossy(body);
    let words = match serde_json::from_slice::<Value>(body) {
        Ok(Value::Object(members)) => ["error_description", "message", "detail", "error"]
            .iter()
            .find_map(|name| members.get(*name)?.as_str().map(str::to_owned))
            .or_else(from_header)
            .unwrap_or_else(|| text.into_owned()),
        _ if body.is_empty() => from_header().unwrap_or_else(|| "no reason given".into()),
        _ => text.into_owned(),
    };
    scrub(&words)
}

/// Bounded, on one line, and with nothing in it that looks like a phone number: ten to fifteen digits, with no more
/// than two of the characters between them that people group digits with.
fn scrub(text: &str) -> String {
    let mut clean = String::with_capacity(text.len().min(MAX_REASON));
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        if clean.len() >= MAX_REASON {
            clean.push('…');
            break;
        }
        let (digits, length) = grouped_digits(rest);
        if digits >= 10 {
            clean.push_str("•••");
            rest = &rest[length..];
        } else if digits > 0 {
            clean.push_str(&rest[..length]);
            rest = &rest[length..];
        } else {
            clean.push(if first.is_control() { ' ' } else { first });
            rest = &rest[first.len_utf8()..];
        }
    }
    clean.trim().to_owned()
}

/// How many digits stand at the beginning, and up to where, gaps of at most two grouping characters included.
fn grouped_digits(text: &str) -> (usize, usize) {
    let (mut digits, mut length, mut gap) = (0, 0, 0);
    for (index, byte) in text.bytes().enumerate() {
        match byte {
            b'0'..=b'9' => {
                digits += 1;
                gap = 0;
                length = index + 1;
            }
            b' ' | b'-' | b'.' | b'(' | b')' | b'/' if digits > 0 && gap < 2 => gap += 1,
            _ => break,
        }
    }
    (digits, length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(value: &str) -> HeaderMap {
        HeaderMap::from_iter([(RETRY_AFTER, value.parse().unwrap())])
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_and_never_absurd() {
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
    fn each_status_has_its_meaning() {
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

    #[test]
    fn a_reason_is_cxones_words_without_phone_numbers() {
        let none = HeaderMap::new();
        let body = br#"{"error": "bad_request", "error_description": "phone +12025550198 is blocked"}"#;
        assert_eq!(reason(body, &none), "phone +••• is blocked");
        for phone in ["(202) 555-0198", "+1 202-555-0198", "202.555.0198", "+44 20 7946 0958"] {
            let said = reason(format!("no: {phone}!").as_bytes(), &none);
            assert!(said.ends_with("•••!") && !said.contains("0198") && !said.contains("0958"), "{said}");
        }
        let harmless = "at 2026-11-20T15:00:00Z, code 4711, limit 100.5, id 01a1fcff-84aa-720d-83ca-60abacb44d8c";
        assert_eq!(reason(harmless.as_bytes(), &none), harmless);
        assert_eq!(reason(b"", &none), "no reason given");
        assert_eq!(reason(b"<h1>Bad\r\nGateway</h1>", &none), "<h1>Bad  Gateway</h1>");
        assert!(reason(&[b'x'; 100_000], &none).len() < 600);
    }
}
