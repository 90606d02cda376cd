//! Reads JSON.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// Parses an answer, which must be an object: serde by itself also accepts an array of the members' values.
pub fn object<T: DeserializeOwned>(body: &[u8]) -> serde_json::Result<T> {
    let members: Map<String, Value> = serde_json::from_slice(body)?;
    serde_json::from_value(Value::Object(members))
}
