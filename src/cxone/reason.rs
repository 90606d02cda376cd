//! The explanation of a failure, for logs and failures of callbacks: short, and without phone numbers.

use reqwest::header::HeaderMap;
use serde_json::Value;

/// The most bytes of an explanation.
const MAX_REASON: usize = 500;

/// CXone's explanation: the text of one of the members that it uses for it, or the body as it is.
pub fn reason_of(body: &[u8], headers: &HeaderMap) -> String {
    let from_header = || headers.get("icStatusDescription").and_then(|value| value.to_str().ok()).map(str::to_owned);
    let text = String::from_utf8_lossy(body);
    let explanation = match serde_json::from_slice::<Value>(body) {
        Ok(Value::Object(members)) => ["error_description", "message", "detail", "error"]
            .iter()
            .find_map(|name| members.get(*name)?.as_str().map(str::to_owned))
            .or_else(from_header)
            .unwrap_or_else(|| text.into_owned()),
        _ if body.is_empty() => from_header().unwrap_or_else(|| "no reason given".into()),
        _ => text.into_owned(),
    };
    scrub(&explanation)
}

/// Shortens the text, puts it on one line, and masks what looks like a phone number: ten or more digits, with at most two
/// grouping characters between them.
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

/// The number of digits at the beginning, and the length of that part of the text. At most two grouping characters may
/// separate two digits.
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
        for phone in ["(202) 555-0198", "+1 202-555-0198", "202.555.0198", "+44 20 7946 0958"] {
            let said = reason_of(format!("no: {phone}!").as_bytes(), &none);
            assert!(said.ends_with("•••!") && !said.contains("0198") && !said.contains("0958"), "{said}");
        }
        let harmless = "at 2026-11-20T15:00:00Z, code 4711, limit 100.5, id 01a1fcff-84aa-720d-83ca-60abacb44d8c";
        assert_eq!(reason_of(harmless.as_bytes(), &none), harmless);
        assert_eq!(reason_of(b"", &none), "no reason given");
        assert_eq!(reason_of(b"<h1>Bad\r\nGateway</h1>", &none), "<h1>Bad  Gateway</h1>");
        assert!(reason_of(&vec![b'x'; 100_000], &none).len() < 600);
    }
}
