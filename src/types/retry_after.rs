//! The header `Retry-After`.

use std::time::Duration;

use jiff::Timestamp;

/// Parses seconds, or an HTTP date (RFC 9110, section 10.2.3). None if it is neither, or negative. A date in the past is a
/// wait of zero.
pub fn parse_retry_after(text: &str, now: Timestamp) -> Option<Duration> {
    let text = text.trim();
    match text.parse::<f64>() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds).ok(),
        Err(_) => {
            let until = Timestamp::try_from(httpdate::parse_http_date(text).ok()?).ok()?;
            Some(Duration::try_from(until.duration_since(now)).unwrap_or_default())
        }
    }
}
