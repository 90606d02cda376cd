use jiff::Timestamp;
use reqwest::StatusCode;
use reqwest::header::{HeaderMap, HeaderValue, RETRY_AFTER};

use super::error::CxoneError;
use super::reason::reason_of;
use crate::fuzz_test::{fuzz, fuzz_bytes};

#[test]
fn a_reason_is_one_short_line_without_phone_numbers() {
    let samples = [
        r#"{"error": "bad_request", "error_description": "phone +13125550142 is blocked"}"#,
        r#"{"message": ["+1 312-555-0142"]}"#,
        "<h1>Bad\r\nGateway for tel:+1(312)555-0142</h1>",
        "",
    ];
    fuzz_bytes(&samples, |body| {
        let reason = reason_of(body, &HeaderMap::new());
        assert!(reason.len() <= 503 && !reason.contains(char::is_control), "{reason}");
        assert!(!reason.contains("3125550142") && !reason.contains("312-555-0142"), "{reason}");
    });
}

#[test]
fn every_answer_is_an_error_with_a_bounded_wait() {
    let now: Timestamp = "2026-11-20T15:00:00Z".parse().unwrap();
    fuzz(&["429 7", "503 Fri, 20 Nov 2026 15:00:09 GMT", "500 0", "401 x", "302 -1"], |text| {
        let (status, wait) = text.split_once(' ').unwrap_or((text, ""));
        let status = status.parse().ok().and_then(|status| StatusCode::from_u16(status).ok());
        let (Some(status), Ok(wait)) = (status, HeaderValue::from_str(wait)) else { return };
        let headers = HeaderMap::from_iter([(RETRY_AFTER, wait)]);
        let error = CxoneError::from_answer(status, &headers, text.as_bytes(), "a:scope", now);
        assert!(error.retry_after().is_none_or(|wait| wait.as_secs() <= 600), "{error}");
    });
}
