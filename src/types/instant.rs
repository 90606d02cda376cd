//! Timestamps of requests: RFC 3339, kept in milliseconds.

use jiff::Timestamp;

use super::Fault;

/// In UTC. Any other year is a typing error or a placeholder.
const YEARS: std::ops::RangeInclusive<i16> = 2000..=2100;

/// Reads `2026-11-20T10:30:00-05:00`: RFC 3339, with an offset, rounded down to milliseconds.
///
/// # Errors
/// - `no-offset` if only the offset is missing
/// - `not-a-timestamp` for any other text that is not an RFC 3339 timestamp (a space for the `T`, a time zone in
///   brackets, more than nine digits of a second)
/// - `timestamp-out-of-range` outside the years 2000 to 2100
pub fn parse_instant(text: &str) -> Result<Timestamp, Fault> {
    check_shape(text)?;
    let exact: Timestamp = text.parse().map_err(|_| not_a_timestamp())?;
    let instant = to_milliseconds(exact);
    if !YEARS.contains(&instant.to_zoned(jiff::tz::TimeZone::UTC).year()) {
        return Err(Fault::new("timestamp-out-of-range", "must be in the years 2000 to 2100"));
    }
    Ok(instant)
}

/// jiff accepts more than RFC 3339 (RFC 9557, the shorter forms of ISO 8601), so that the shape is checked first. jiff checks the
/// numbers.
fn check_shape(text: &str) -> Result<(), Fault> {
    let (date_time, rest) = text.split_at_checked("dddd-dd-ddTdd:dd:dd".len()).ok_or_else(not_a_timestamp)?;
    if !has_shape(date_time, "dddd-dd-ddTdd:dd:dd") {
        return Err(not_a_timestamp());
    }
    let offset = without_fraction(rest);
    if offset.is_empty() {
        return Err(Fault::new("no-offset", "must end in an offset from UTC, such as Z or -05:00"));
    }
    if !["Z", "+dd:dd", "-dd:dd"].iter().any(|shape| has_shape(offset, shape)) {
        return Err(not_a_timestamp());
    }
    // jiff accepts offsets up to 25:59.
    if offset.get(1..3) > Some("23") {
        return Err(not_a_timestamp());
    }
    Ok(())
}

/// `d` stands for a digit; letters match in either case (RFC 3339, section 5.6).
fn has_shape(text: &str, shape: &str) -> bool {
    text.len() == shape.len()
        && text.bytes().zip(shape.bytes()).all(|(byte, expected)| {
            if expected == b'd' { byte.is_ascii_digit() } else { byte.eq_ignore_ascii_case(&expected) }
        })
}

fn without_fraction(text: &str) -> &str {
    let Some(fraction) = text.strip_prefix('.') else {
        return text;
    };
    let rest = fraction.trim_start_matches(|c: char| c.is_ascii_digit());
    // A point without digits stays, and is then refused as an offset.
    if rest.len() == fraction.len() { text } else { rest }
}

fn not_a_timestamp() -> Fault {
    Fault::new("not-a-timestamp", "must be an RFC 3339 timestamp with an offset, such as 2026-11-20T10:30:00-05:00")
}

/// Postgres, CXone and clients all keep milliseconds.
fn to_milliseconds(exact: Timestamp) -> Timestamp {
    Timestamp::from_millisecond(exact.as_millisecond()).unwrap_or(exact)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_rfc_3339() {
        for (text, rendered) in [
            ("2026-11-20T15:30:00Z", "2026-11-20T15:30:00Z"),
            ("2026-11-20T10:30:00-05:00", "2026-11-20T15:30:00Z"),
            ("2026-11-20t21:00:00+05:30", "2026-11-20T15:30:00Z"),
            ("2026-11-20t15:30:00z", "2026-11-20T15:30:00Z"),
            ("2026-11-20T15:30:00-00:00", "2026-11-20T15:30:00Z"),
            ("2026-11-20T15:30:00.25Z", "2026-11-20T15:30:00.25Z"),
            ("2026-11-20T15:30:00.123999999Z", "2026-11-20T15:30:00.123Z"),
            ("2026-11-20T15:30:00.0009Z", "2026-11-20T15:30:00Z"),
            // A leap second, which nothing behind this function has.
            ("2016-12-31T23:59:60Z", "2016-12-31T23:59:59Z"),
            ("2028-02-29T00:00:00Z", "2028-02-29T00:00:00Z"),
            ("2000-01-01T00:00:00Z", "2000-01-01T00:00:00Z"),
            ("2100-12-31T23:59:59Z", "2100-12-31T23:59:59Z"),
        ] {
            assert_eq!(parse_instant(text).unwrap().to_string(), rendered, "{text}");
        }
    }

    #[test]
    fn refuses_the_rest() {
        for (text, code) in [
            ("2026-11-20T15:30:00", "no-offset"),
            ("2026-11-20T15:30:00.5", "no-offset"),
            ("", "not-a-timestamp"),
            ("2026-11-20", "not-a-timestamp"),
            ("2026-11-20T15:30Z", "not-a-timestamp"),
            ("2026-11-20 15:30:00Z", "not-a-timestamp"),
            ("20261120T153000Z", "not-a-timestamp"),
            ("2026-11-20T15:30:00-05", "not-a-timestamp"),
            ("2026-11-20T15:30:00-0500", "not-a-timestamp"),
            ("2026-11-20T15:30:00.Z", "not-a-timestamp"),
            ("2026-11-20T15:30:00,5Z", "not-a-timestamp"),
            ("2026-11-20T10:30:00-05:00[America/New_York]", "not-a-timestamp"),
            ("2026-11-20T15:30:00Z ", "not-a-timestamp"),
            ("2026-11-20T15:30:00Z\0", "not-a-timestamp"),
            ("2026-02-29T00:00:00Z", "not-a-timestamp"),
            ("2026-13-01T00:00:00Z", "not-a-timestamp"),
            ("2026-11-20T24:00:00Z", "not-a-timestamp"),
            ("2026-11-20T15:60:00Z", "not-a-timestamp"),
            ("2026-11-20T15:30:00+24:00", "not-a-timestamp"),
            ("2026-11-20T15:30:00+05:60", "not-a-timestamp"),
            ("1700000000000", "not-a-timestamp"),
            ("1999-12-31T23:59:59Z", "timestamp-out-of-range"),
            ("2101-01-01T00:00:00Z", "timestamp-out-of-range"),
            ("9999-01-01T00:00:00Z", "timestamp-out-of-range"),
            ("0000-01-01T00:00:00Z", "timestamp-out-of-range"),
        ] {
            let fault = parse_instant(text).unwrap_err();
            assert_eq!(fault.code, code, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in any::<String>()) {
            let _ = parse_instant(&text);
        }

        #[test]
        fn never_panics_near_the_shape(text in "[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\\.[0-9]{0,10})?(Z|[+-][0-9]{2}:[0-9]{2})?") {
            let _ = parse_instant(&text);
        }

        #[test]
        fn a_printed_instant_reads_back(millisecond in 946_684_800_000_i64..4_133_980_799_999) {
            let instant = Timestamp::from_millisecond(millisecond).unwrap();
            prop_assert_eq!(parse_instant(&instant.to_string()), Ok(instant));
        }
    }
}
