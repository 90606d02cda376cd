//! Why a callback can no longer be changed.

use crate::callbacks::model::{Callback, Status};
use crate::http::{Problem, ProblemKind};

/// The problem of a change that comes too late for this callback.
pub(super) fn too_late(callback: &Callback) -> Problem {
    match callback.status {
        Status::Scheduled => Problem::new(ProblemKind::AlreadyScheduled, "CXone has the contact"),
        Status::Accepted => {
            Problem::new(ProblemKind::AlreadyScheduled, "the contact has been sent to CXone, which may have it")
        }
        Status::Failed | Status::Expired | Status::Cancelled => {
            let detail = format!("the callback is {} already", callback.status.as_ref());
            Problem::new(ProblemKind::AlreadyEnded, detail)
        }
    }
}
