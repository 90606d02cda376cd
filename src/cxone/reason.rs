//! The explanation of a failure, for logs and failures of callbacks: short, and without phone numbers.

use reqwest::header::HeaderMap;
use serde_json::Value;

use crate::types::mask_phone_numbers;

/// The most bytes of an explanation.
const MAX_REASON: usize = 500;

/// CXone's explanation: the text of one of the members that it uses for it; the whole body if it has details beside that text.
pub fn reason_of(body: &[u8], headers: &HeaderMap) -> String {
    let from_header = || headers.get("icStatusDescription").and_then(|value| value.to_str().ok()).map(str::to_owned);
    let text = String::from_utf8_lossy(body);
    let explanation = match serde_json::from_slice::<Value>(body) {
        Ok(Value::Object(members)) if !members.values().any(has_details) => {
            ["error_description", "errorDescription", "message", "Message", "detail", "error"]
                .iter()
                .find_map(|name| members.get(*name)?.as_str().map(str::to_owned))
                .or_else(from_header)
                .unwrap_or_else(|| text.into_owned())
        }
        _ if body.is_empty() => from_header().unwrap_or_else(|| "no reason given".into()),
        _ => text.into_owned(),
    };
    scrub(&explanation)
}

fn has_details(member: &Value) -> bool {
    match member {
        Value::Array(items) => !items.is_empty(),
        Value::Object(members) => !members.is_empty(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

/// Shortens the text, puts it on one line, and masks phone numbers.
fn scrub(text: &str) -> String {
    // A number that is cut off here is cut off below as well.
    let text = &text[..text.floor_char_boundary(4 * MAX_REASON)];
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let mut clean = mask_phone_numbers(&line);
    if clean.len() > MAX_REASON {
        clean.truncate(clean.floor_char_boundary(MAX_REASON));
        clean.push('…');
    }
    clean.trim().to_owned()
}

/// Why there is no answer: the innermost cause. The outer errors contain the URL.
pub fn transport_reason(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "no answer in time".into();
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    scrub(&cause.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_cxones_explanation_without_phone_numbers() {
        let none = HeaderMap::new();
        let body = br#"{"error": "bad_request", "error_description": "phone +12025550198 is blocked"}"#;
        assert_eq!(reason_of(body, &none), "phone +••• is blocked");
        let details = r#"{"message": "Validation failed", "errors": [{"field": "phone", "reason": "not dialable"}]}"#;
        assert_eq!(reason_of(details.as_bytes(), &none), details);
        assert_eq!(reason_of(br#"{"message": "No such campaign", "errors": []}"#, &none), "No such campaign");
        let harmless = "at 2026-11-20T15:00:00Z, code 4711, limit 100.5, id 01a1fcff-84aa-720d-83ca-60abacb44d8c";
        assert_eq!(reason_of(harmless.as_bytes(), &none), harmless);
        assert_eq!(reason_of(b"", &none), "no reason given");
        assert_eq!(reason_of(b"<h1>Bad\r\nGateway</h1>", &none), "<h1>Bad  Gateway</h1>");
        assert!(reason_of(&vec![b'x'; 100_000], &none).len() < 600);
    }
}
