//! The `Prefer` header (RFC 7240). No kept crate parses it.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::request::Parts;

/// The longest wait for an outcome.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// How long the `Prefer` header of a request asks to wait, see [`preferred_wait`].
pub struct PreferredWait(pub Option<Duration>);

impl<S: Send + Sync> FromRequestParts<S> for PreferredWait {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self(preferred_wait(&parts.headers)))
    }
}

/// How long `Prefer` asks to wait: `wait=N` seconds, or not at all with `respond-async`. Invalid preferences are ignored.
pub(super) fn preferred_wait(headers: &HeaderMap) -> Option<Duration> {
    let values = headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok());
    let preferences: Vec<&str> = values.flat_map(|value| value.split(',')).map(str::trim).collect();
    let wait = preferences.iter().find_map(|preference| {
        let (name, value) = preference.split_once('=')?;
        let seconds = value.trim().trim_matches('"').parse().ok()?;
        name.trim().eq_ignore_ascii_case("wait").then_some(Duration::from_secs(seconds).min(LONGEST_WAIT))
    });
    let at_once = preferences.iter().any(|preference| preference.eq_ignore_ascii_case("respond-async"));
    wait.or(at_once.then_some(Duration::ZERO))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderName;

    use super::*;

    #[test]
    fn the_preferred_wait_is_parsed_and_bounded() {
        for (prefer, seconds) in [
            ("respond-async", Some(0)),
            ("wait=7", Some(7)),
            ("respond-async, wait=10", Some(10)),
            ("return=minimal; foo, Wait=\"5\"", Some(5)),
            ("wait=3600", Some(30)),
            ("wait=-1", None),
            ("wait=soon", None),
            ("return=minimal", None),
        ] {
            let headers = HeaderMap::from_iter([(HeaderName::from_static("prefer"), prefer.parse().unwrap())]);
            assert_eq!(preferred_wait(&headers).map(|wait| wait.as_secs()), seconds, "{prefer}");
        }
    }
}
