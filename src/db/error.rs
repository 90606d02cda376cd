//! The meaning of Postgres errors. No other module matches on SQLSTATE codes or on the variants of [`sqlx::Error`].

use std::io;
use std::str::FromStr;

use sqlx::Error;
use sqlx::error::ErrorKind;
use sqlx::postgres::PgDatabaseError;

/// What a failed statement means for its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    /// Another transaction was in the way, or has changed a table. Postgres has rolled this one back.
    Conflict,
    /// Postgres is starting or stopping.
    NotRunning,
    /// Postgres is unreachable or overloaded, or the connection ended. Whether a change was committed is unknown.
    Unavailable,
    /// The statement fails again each time it is sent.
    Permanent,
}

/// Whether the statement may succeed when it is sent again: Postgres is unreachable, starting, stopping or overloaded,
/// the connection ended, or another transaction was in the way. Unless it was a conflict, it is unknown whether the
/// change was committed.
pub fn is_transient(error: &Error) -> bool {
    match class_of(error) {
        Class::Conflict | Class::NotRunning | Class::Unavailable => true,
        Class::Permanent => false,
    }
}

/// Whether all connections of the pool are in use, and remained so. Postgres may be well.
pub fn is_pool_full(error: &Error) -> bool {
    matches!(error, Error::PoolTimedOut)
}

/// Whether an exclusion constraint refused a row, because it overlaps another one.
pub fn is_overlap(error: &Error) -> bool {
    matches!(error, Error::Database(error) if error.kind() == ErrorKind::ExclusionViolation)
}

/// Whether a statement did not get a lock within its limit.
pub(super) fn is_lock_timeout(error: &Error) -> bool {
    // lock_not_available
    matches!(error, Error::Database(error) if error.code().as_deref() == Some("55P03"))
}

/// Whether the statement was prepared before a column was added to its table. It fails on this connection for ever.
pub(super) fn is_prepared_for_old_table(error: &Error) -> bool {
    let Error::Database(error) = error else { return false };
    let error = error.try_downcast_ref::<PgDatabaseError>();
    // feature_not_supported. Postgres has no code of its own for it, and the message depends on the language.
    error.is_some_and(|error| error.code() == "0A000" && error.routine() == Some("RevalidateCachedQuery"))
}

/// Whether Postgres rolled the transaction back because of another one. It can be repeated at once.
pub(super) fn is_conflict(error: &Error) -> bool {
    class_of(error) == Class::Conflict
}

/// Whether the server itself responded to an attempt to connect, as one that is up.
pub(super) fn is_answer_of_running_server(error: &Error) -> bool {
    matches!(error, Error::Database(_)) && class_of(error) != Class::NotRunning
}

/// Postgres did not respond in time. The connection of the statement is closed.
pub(super) fn no_response() -> Error {
    Error::Io(io::Error::new(io::ErrorKind::TimedOut, "Postgres did not respond in time"))
}

fn class_of(error: &Error) -> Class {
    match error {
        _ if is_prepared_for_old_table(error) => Class::Conflict,
        Error::Io(_)
        | Error::Tls(_)
        | Error::Protocol(_)
        | Error::PoolTimedOut
        | Error::PoolClosed
        | Error::WorkerCrashed
        | Error::BeginFailed => Class::Unavailable,
        Error::Database(error) => error.code().map_or(Class::Permanent, |code| class_of_state(&code)),
        _ => Class::Permanent,
    }
}

/// The class of a SQLSTATE code (PostgreSQL documentation, appendix A).
fn class_of_state(code: &str) -> Class {
    match code {
        // serialization_failure, deadlock_detected
        "40001" | "40P01" => Class::Conflict,
        // idle_in_transaction_session_timeout, transaction_timeout, lock_not_available, query_canceled
        "25P03" | "25P04" | "55P03" | "57014" => Class::Unavailable,
        // operator_intervention: shutdown, crash, cannot_connect_now
        _ if code.starts_with("57P") => Class::NotRunning,
        // connection exception, transaction rollback, insufficient resources
        _ if ["08", "40", "53"].iter().any(|class| code.starts_with(class)) => Class::Unavailable,
        _ => Class::Permanent,
    }
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
    fn each_sqlstate_has_its_class() {
        for (class, codes) in [
            (Class::Conflict, &["40001", "40P01"][..]),
            (Class::NotRunning, &["57P01", "57P02", "57P03", "57P05"]),
            (Class::Unavailable, &["08006", "08P01", "40003", "53100", "53300", "55P03", "57014", "25P03", "25P04"]),
            (Class::Permanent, &["23505", "23P01", "42601", "22P02", "25006", "55000", "57000", "XX000"]),
        ] {
            for code in codes {
                assert_eq!(class_of_state(code), class, "{code}");
            }
        }
    }

    #[test]
    fn a_lost_connection_is_transient_and_a_missing_row_is_not() {
        for error in [Error::PoolTimedOut, Error::PoolClosed, Error::WorkerCrashed, no_response()] {
            assert!(is_transient(&error) && !is_conflict(&error), "{error}");
        }
        for error in [Error::RowNotFound, Error::ColumnNotFound("x".into())] {
            assert!(!is_transient(&error) && !is_conflict(&error), "{error}");
        }
    }
}
