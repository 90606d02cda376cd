//! Why an attempt on a campaign stops.

use crate::campaigns::model::{Refusal, Report};

/// Why an attempt on a campaign stops.
#[derive(Debug, thiserror::Error)]
pub enum AttemptError {
    /// The command is refused, and has changed nothing.
    #[error("the command is refused")]
    Refused(Refusal),
    /// Another replica has the campaign's lease now.
    #[error("the lease is lost")]
    LeaseLost,
    /// Another run of the same command has executed it meanwhile, with this report.
    #[error("the command is executed already")]
    AlreadyExecuted(Box<Report>),
    /// Postgres is unavailable, or failed.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}
