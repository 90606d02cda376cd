//! What an error of Postgres means.

use std::io;
use std::str::FromStr;

use sqlx::Error;

/// Whether the statement may succeed when it is repeated: Postgres is away, starting, stopping or overloaded, the
/// connection has ended, or another transaction was in the way. Whether a change was committed is then unknown.
///
/// This is the one place that decides between "try again" and "this is a fault".
pub fn is_transient(error: &Error) -> bool {
    match error {
        Error::Io(_)
        | Error::Tls(_)
        | Error::Protocol(_)
        | Error::PoolTimedOut
        | Error::PoolClosed
        | Error::WorkerCrashed
        | Error::BeginFailed => true,
        Error::Database(error) => error.code().is_some_and(|code| is_transient_state(&code)),
        _ => false,
    }
}

/// Whether another transaction made Postgres give up this one: nothing of it was done, and it can be repeated at once.
pub fn is_conflict(error: &Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    code.is_some_and(|code| code == "40001" || code == "40P01")
}

/// Postgres has not answered in time; its connection is given up.
pub(super) fn unanswered() -> Error {
    Error::Io(io::Error::new(io::ErrorKind::TimedOut, "Postgres has not answered in time"))
}

/// Classes: 08 connection, 40 transaction rollback, 53 insufficient resources, 57P operator intervention. And: 25P03 idle
/// in transaction for too long, 55P03 lock not available, 57014 statement timeout, 57P05 idle session.
fn is_transient_state(code: &str) -> bool {
    let classes = ["08", "40", "53", "57P"];
    let states = ["25P03", "25P04", "55P03", "57014"];
    classes.iter().any(|class| code.starts_with(class)) || states.contains(&code)
}

/// Reads an enum that is stored as text. A text that this version does not know is an error, as with `sqlx::Type`.
///
/// # Errors
/// Where the enum has no such text.
pub fn decode<T: FromStr<Err: std::error::Error + Send + Sync + 'static>>(text: &str) -> Result<T, Error> {
    text.parse().map_err(|error| Error::Decode(Box::new(error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_succeed_later_is_transient_and_a_fault_is_not() {
        for code in ["08006", "08P01", "40001", "40P01", "53100", "53300", "57P01", "57P03", "55P03", "57014", "25P03"]
        {
            assert!(is_transient_state(code), "{code}");
        }
        for code in ["23505", "23P01", "42601", "22P02", "25006", "55000", "57000", "XX000"] {
            assert!(!is_transient_state(code), "{code}");
        }
        for error in [Error::PoolTimedOut, Error::PoolClosed, Error::WorkerCrashed, unanswered()] {
            assert!(is_transient(&error), "{error}");
        }
        assert!(!is_transient(&Error::RowNotFound) && !is_transient(&Error::ColumnNotFound("x".into())));
    }
}
