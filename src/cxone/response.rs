//! Reads a response of CXone.

use bytes::{Bytes, BytesMut};
use jiff::Timestamp;
use reqwest::header::HeaderMap;
use reqwest::{Response, StatusCode};

use super::error::{CxoneError, Failed};

/// The most bytes of a response. None that Ringback reads is nearly as long.
const MAX_BODY: usize = 256 * 1024;

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
    TooLong,
    BrokeOff,
}

impl Answer {
    /// Reads a response up to the limit.
    pub async fn read(mut response: Response) -> Self {
        let (status, headers) = (response.status(), response.headers().clone());
        let mut body = BytesMut::new();
        let cut_off = loop {
            match response.chunk().await {
                Ok(Some(chunk)) if body.len() + chunk.len() <= MAX_BODY => body.extend_from_slice(&chunk),
                Ok(Some(_)) => break Some(CutOff::TooLong),
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
    pub fn into_success(self, scope: &'static str, now: Timestamp) -> Result<Bytes, Failed> {
        if !matches!(self.status, StatusCode::OK | StatusCode::CREATED | StatusCode::ACCEPTED) {
            let error = CxoneError::from_answer(self.status, &self.headers, &self.body, scope, now);
            return Err(Failed { error, body: self.body });
        }
        let reason = match self.cut_off {
            None => return Ok(self.body),
            Some(CutOff::TooLong) => format!("the answer is larger than {MAX_BODY} bytes"),
            Some(CutOff::BrokeOff) => "the answer broke off".into(),
        };
        Err(CxoneError::UnexpectedAnswer { reason }.into())
    }
}
