//! Reads a response of CXone.

use bytes::{Bytes, BytesMut};
use jiff::Timestamp;
use reqwest::header::HeaderMap;
use reqwest::{Response, StatusCode};

use super::error::{CxoneError, Failed};

/// The answers that are successes.
#[derive(Clone, Copy, Debug)]
pub struct Accepted {
    pub statuses: &'static [u16],
    /// The most bytes of a body.
    pub max_body: usize,
    /// Whether a 503 says that nothing was done.
    pub is_503_certain: bool,
}

/// A response as far as it was read.
pub struct Answer {
    pub status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
    /// Why the rest of the body is missing.
    cut_off: Option<CutOff>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum CutOff {
    /// It is longer than this many bytes.
    TooLong(usize),
    BrokeOff,
}

impl Answer {
    /// Reads a response up to the limit.
    pub async fn read(mut response: Response, max_body: usize) -> Self {
        let (status, headers) = (response.status(), response.headers().clone());
        let mut body = BytesMut::new();
        let cut_off = loop {
            match response.chunk().await {
                Ok(Some(chunk)) if body.len() + chunk.len() <= max_body => body.extend_from_slice(&chunk),
                Ok(Some(_)) => break Some(CutOff::TooLong(max_body)),
                Ok(None) => break None,
                Err(_) => break Some(CutOff::BrokeOff),
            }
        };
        Self { status, headers, body: body.freeze(), cut_off }
    }

    /// Whether the endpoint works: it sent a whole response other than a 5xx.
    pub fn is_healthy(&self) -> bool {
        self.cut_off != Some(CutOff::BrokeOff) && !self.status.is_server_error()
    }

    /// The body of a success.
    pub fn into_success(self, accepted: Accepted, permission: &'static str, now: Timestamp) -> Result<Bytes, Failed> {
        if !accepted.statuses.contains(&self.status.as_u16()) {
            let error = match CxoneError::from_answer(self.status, &self.headers, &self.body, permission, now) {
                CxoneError::Unavailable { reason, .. } if !accepted.is_503_certain => {
                    CxoneError::OutcomeUnknown { reason }
                }
                error => error,
            };
            return Err(Failed { error, body: self.body });
        }
        let reason = match self.cut_off {
            None => return Ok(self.body),
            Some(CutOff::TooLong(max_body)) => format!("the answer is larger than {max_body} bytes"),
            Some(CutOff::BrokeOff) => "the answer broke off".into(),
        };
        Err(CxoneError::UnexpectedAnswer { reason }.into())
    }
}
