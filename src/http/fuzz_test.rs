use axum::extract::FromRequestParts as _;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Request};
use axum_extra::headers::HeaderMapExt as _;
use axum_extra::headers::authorization::{Authorization, Bearer};
use futures::FutureExt as _;
use mediatype::media_type;
use serde_json::Value;
use uuid::Uuid;

use super::accept::negotiated;
use super::body::{is_json, parse_json};
use super::idempotency::idempotency_key;
use super::prefer::preferred_wait;
use super::{Preconditions, Problem, ProblemKind, Query};
use crate::db::{CreatedPosition, SequencePosition, decode_cursor};
use crate::fuzz_test::{fuzz, fuzz_bytes};
use crate::trace::Traceparent;
use crate::types::{CampaignId, parse_instant};

fn header(name: &'static str, value: &[u8]) -> Option<HeaderMap> {
    let value = HeaderValue::from_bytes(value).ok()?;
    Some(HeaderMap::from_iter([(HeaderName::from_static(name), value)]))
}

fn is_of_client(problem: &Problem) {
    let kinds = [ProblemKind::MalformedJson, ProblemKind::InvalidRequest];
    assert!(kinds.contains(&problem.kind), "{problem:?}");
}

#[test]
fn a_preferred_wait_has_a_limit() {
    fuzz_bytes(&["respond-async", "wait=7", "return=minimal; foo, Wait=\"5\"", "respond-async, wait=10"], |value| {
        if let Some(headers) = header("prefer", value) {
            assert!(preferred_wait(&headers).is_none_or(|wait| wait.as_secs() <= 30));
        }
    });
}

#[test]
fn an_idempotency_key_is_the_same_with_and_without_quotes() {
    let longest = "k".repeat(255);
    fuzz_bytes(&["8e03978e-40d5-43dd-bc93-6894a57f9324", "\"order-1\"", &longest], |value| {
        let Some(headers) = header("idempotency-key", value) else { return };
        match idempotency_key(&headers) {
            Ok(key) => {
                let key = key.unwrap();
                assert!((1..=255).contains(&key.len()));
                let quoted = header("idempotency-key", format!("\"{key}\"").as_bytes()).unwrap();
                assert_eq!(idempotency_key(&quoted).ok().flatten(), Some(key));
            }
            Err(problem) => is_of_client(&problem),
        }
    });
}

#[test]
fn conditions_are_entity_tags_or_a_fault() {
    let samples = ["*", "\"7\"", "W/\"7\", \"8\"", "\"a,b\" , \"c d\""];
    fuzz_bytes(&samples, |value| {
        for name in ["if-match", "if-none-match"] {
            let Some(headers) = header(name, value) else { return };
            let (mut parts, ()) = Request::new(()).into_parts();
            parts.headers = headers;
            match Preconditions::from_request_parts(&mut parts, &()).now_or_never().unwrap() {
                Ok(conditions) => assert!(!(conditions.allow_replacing(7) && conditions.is_known(7))),
                Err(problem) => is_of_client(&problem),
            }
        }
    });
}

#[test]
fn an_answer_has_an_available_type_or_is_not_acceptable() {
    let available = [media_type!(APPLICATION / JSON), media_type!(TEXT / CSV)];
    let samples = ["text/csv;q=0.5, */*;q=0.1", "text/*", "application/json; a=\"b\\\"c\"; q=0", "image/svg+xml"];
    fuzz_bytes(&samples, |value| {
        let Some(headers) = header("accept", value) else { return };
        match negotiated(&headers, &available) {
            Ok(chosen) => assert!(available.contains(chosen)),
            Err(problem) => assert_eq!(problem.kind, ProblemKind::NotAcceptable),
        }
    });
}

#[test]
fn other_headers_are_read_or_ignored() {
    let samples = [
        "Bearer rb_0123456789",
        "bearer  x",
        "application/problem+json; charset=utf-8",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    ];
    fuzz_bytes(&samples, |value| {
        if let Some(headers) = header("authorization", value) {
            let _ = headers.typed_get::<Authorization<Bearer>>().map(|bearer| bearer.token().to_owned());
        }
        if let Some(headers) = header("content-type", value) {
            let _ = is_json(&headers);
        }
        if let Some(parent) = Traceparent::parse(&String::from_utf8_lossy(value)) {
            let child = parent.child(Uuid::from_u128(7));
            assert_eq!(Traceparent::parse(child.as_str()).unwrap().trace_id(), parent.trace_id());
        }
    });
}

fn query(text: &str) -> Option<Parts> {
    let uri = format!("/v1/callbacks?{text}").parse().ok()?;
    let (mut parts, ()) = Request::new(()).into_parts();
    parts.uri = uri;
    Some(parts)
}

#[test]
fn a_query_is_read_or_a_fault() {
    let samples = [
        "campaignId=a-1&from=2026-11-20T15%3A00%3A00Z&limit=200&cursor=Nw",
        "limit=0&cursor=eyJjcmVhdGVkX2F0IjoiMTk3MC0wMS0wMVQwMDowMDowMFoiLCJpZCI6MX0",
        "from=&from=1&unknown=%00",
    ];
    fuzz(&samples, |text| {
        let Some(mut parts) = query(text) else { return };
        match Query::from_request_parts(&mut parts, &()).now_or_never().unwrap() {
            Ok(mut query) => {
                let campaign = query.take("campaignId", CampaignId::parse);
                let _ = query.take("from", parse_instant);
                let page = query.page::<SequencePosition>();
                assert!((1..=200).contains(&page.limit));
                assert!(campaign.is_none_or(|campaign| text.contains(campaign.as_str()) || text.contains('%')));
                if let Err(problem) = query.finish() {
                    is_of_client(&problem);
                }
            }
            Err(problem) => is_of_client(&problem),
        }
    });
}

#[test]
fn a_cursor_is_a_position_that_postgres_has() {
    let samples = [
        "Nw",
        "eyJjcmVhdGVkX2F0IjoiMjAyNi0xMS0yMFQxNTowMDowMFoiLCJpZCI6IjAxOTJmMGM0LTExMTEtNzAwMC04MDAwLTAwMDAwMDAwMDAwMSJ9",
        "eyJjcmVhdGVkX2F0IjoiLTAwOTk5OS0wMS0wMVQwMDowMDowMFoiLCJpZCI6ImEtMSJ9",
    ];
    fuzz(&samples, |text| {
        let _ = decode_cursor::<SequencePosition>(text);
        let _ = decode_cursor::<CreatedPosition<i64>>(text);
        let _ = decode_cursor::<CreatedPosition<CampaignId>>(text);
        if let Some(position) = decode_cursor::<CreatedPosition<Uuid>>(text) {
            assert!(position.created_at >= jiff::Timestamp::UNIX_EPOCH);
        }
    });
}

#[test]
fn json_is_read_or_a_fault_of_the_client() {
    let deep = "[".repeat(200);
    fuzz_bytes(&[r#"{"a": [1.5, "\u00e9", null], "b": {"c": true}}"#, "[1, 2]", &deep], |body| {
        if let Err(problem) = parse_json::<serde_json::Map<String, Value>>(body) {
            is_of_client(&problem);
        }
    });
}
