//! `/console/audit/verification`: whether the audit log is whole, and its newest checkpoint.

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::http::{Method, StatusCode};
use axum::response::Response;
use axum::routing::get;
use serde::Deserialize;
use uuid::Uuid;

use crate::console::page::{Layout, Section, Visit, page};
use crate::console::problem::ApiProblem;
use crate::console::state::Console;

/// The routes of the page. A verification reads the whole log, so that it takes a button.
pub fn routes() -> Router<Arc<Console>> {
    Router::new().route("/console/audit/verification", get(show).post(verify))
}

/// A signed note, as C2SP tlog-checkpoint has it.
pub struct Checkpoint {
    /// The name of the log.
    pub origin: String,
    /// The entries that it covers.
    pub size: String,
    /// The root of the tree, in base64.
    pub root: String,
    /// All of it.
    pub note: String,
}

impl Checkpoint {
    /// None for a text that is no checkpoint.
    fn parse(note: String) -> Option<Self> {
        let mut lines = note.lines().map(ToOwned::to_owned);
        let (origin, size, root) = (lines.next()?, lines.next()?, lines.next()?);
        Some(Self { origin, size, root, note })
    }
}

/// The newest checkpoint, if entries are sealed.
///
/// # Errors
/// The problem that the API answers.
pub async fn newest_checkpoint(visit: &Visit) -> Result<Option<Checkpoint>, ApiProblem> {
    match visit.api.send(Method::GET, "/v1/audit/log/checkpoint", None, &[]).await {
        Ok(answer) => Ok(Checkpoint::parse(answer.text())),
        Err(problem) if problem.status() == StatusCode::NOT_FOUND => Ok(None),
        Err(problem) => Err(problem),
    }
}

/// The members of a verification that the page shows.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Verification {
    valid: bool,
    entries: u64,
    sealed: u64,
    expired: u64,
    checkpoint: Option<String>,
    first_broken: Option<Broken>,
}

#[derive(Deserialize)]
struct Broken {
    seq: Option<i64>,
    id: Option<Uuid>,
    reason: String,
}

impl Broken {
    /// What is wrong, in words.
    fn meaning(&self) -> &str {
        match self.reason.as_str() {
            "changed" => "The entry, or its place, is not what was sealed.",
            "deleted" => "The entry does not exist any more.",
            "inserted" => "The entry was not written by Ringback, or long after it should have been.",
            "rewritten" => "From this entry on, the log is not the one that was signed.",
            "truncated" => "The log ends here, but what was signed is longer.",
            "not-signed" => "The newest checkpoint is not signed with any key of this service.",
            other => other,
        }
    }
}

#[derive(Template)]
#[template(path = "console/audit_verification.html")]
struct VerificationPage {
    layout: Layout,
    checkpoint: Option<Checkpoint>,
    /// None before the button was used.
    verification: Option<Verification>,
}

async fn show(visit: Visit) -> Result<Response, ApiProblem> {
    let checkpoint = newest_checkpoint(&visit).await?;
    page(&VerificationPage { layout: visit.layout(Section::Audit), checkpoint, verification: None })
}

async fn verify(visit: Visit) -> Result<Response, ApiProblem> {
    let mut verification = visit.api.get::<Verification>("/v1/audit/verification").await?;
    let checkpoint = verification.checkpoint.take().and_then(Checkpoint::parse);
    page(&VerificationPage { layout: visit.layout(Section::Audit), checkpoint, verification: Some(verification) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_is_read_from_its_lines() {
        let note = "audit.example.com/ringback\n42\ncm9vdA==\n\n— audit.example.com/ringback sig\n";
        let checkpoint = Checkpoint::parse(note.to_owned()).unwrap();
        assert_eq!(
            (&*checkpoint.origin, &*checkpoint.size, &*checkpoint.root, &*checkpoint.note),
            ("audit.example.com/ringback", "42", "cm9vdA==", note)
        );
        assert!(Checkpoint::parse("one\ntwo".to_owned()).is_none());
    }
}
