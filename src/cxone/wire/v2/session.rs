//! The format of messaging sessions.

use serde::Deserialize;
use serde_json::Value;

use crate::cxone::error::CxoneError;

/// The most characters of a session id.
const MAX_SESSION_ID: usize = 200;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionCreated {
    session_id: Value,
}

impl SessionCreated {
    pub fn session_id(self) -> Result<String, CxoneError> {
        let id = match self.session_id {
            Value::String(id) => id,
            Value::Number(id) => id.to_string(),
            _ => return Err(CxoneError::unexpected("sessionId is not an id")),
        };
        if (1..=MAX_SESSION_ID).contains(&id.len()) && !id.contains('\0') {
            return Ok(id);
        }
        Err(CxoneError::unexpected("sessionId is not an id"))
    }
}
