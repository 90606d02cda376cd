//! `GET /v1/audit`.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse as _, Response};
use mediatype::{MediaType, Name, names};
use strum::VariantNames as _;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::export::{ExportError, Format};
use super::model::{Entry, Outcome};
use super::store::{AuditStore, Filter};
use crate::db::{Page, is_pool_full};
use crate::http::{AuthorizedForCampaigns, Problem, ProblemKind, Query, RequestContext, negotiated, required};
use crate::types::{CampaignId, Fault, parse_instant, parse_uuid};

/// In characters: longer text matches nothing that is stored.
const MAX_FILTER: usize = 200;
/// In seconds.
const RETRY_AFTER: u64 = 2;

/// The types of the response, the default first.
static TYPES: [MediaType<'static>; 3] = [
    MediaType::new(names::APPLICATION, names::JSON),
    MediaType::new(names::TEXT, names::CSV),
    MediaType::new(names::APPLICATION, Name::new_unchecked("x-ndjson")),
];
const CSV_TYPE: &str = "text/csv; charset=utf-8; header=present";
const CSV_FILE: &str = "attachment; filename=\"audit.csv\"";
const NDJSON_TYPE: &str = "application/x-ndjson";

/// The routes.
pub fn routes() -> OpenApiRouter<AuditStore> {
    OpenApiRouter::new().routes(routes!(list))
}

/// Read the audit log
///
/// Newest first. An API key that is restricted to campaigns reads only the entries of these. Follow a callback from the POST to the SMS with `callbackId`.
///
/// `Accept: text/csv` or `application/x-ndjson` returns all entries that match the filter instead of a page. CSV has the members
/// of an entry as columns, with `actorType`, `actorId` and `actorName` in place of `actor`, and `detail` as JSON. Text that a spreadsheet would take for a formula begins with an apostrophe. A
/// response that is broken off has no last chunk, which HTTP clients report as an error.
#[utoipa::path(get, path = "/v1/audit", operation_id = "listAudit", tag = "Audit", security(("key" = ["audit:read"])),
    params(
        ("campaignId" = Option<String>, Query), ("callbackId" = Option<uuid::Uuid>, Query),
        ("action" = Option<String>, Query, example = "callback.scheduled"),
        ("actor" = Option<String>, Query, description = "An actor's id or name"),
        ("outcome" = Option<Outcome>, Query),
        ("from" = Option<String>, Query, format = DateTime, description = "From this instant on"),
        ("to" = Option<String>, Query, format = DateTime, description = "Before this instant"),
        ("limit" = Option<u8>, Query, description = "1 to 200; 50 where absent. Only for JSON"),
        ("cursor" = Option<String>, Query, description = "Only for JSON"),
    ),
    responses((status = 200, body = Page<Entry>), (status = 406), (status = 422)))]
async fn list(
    State(store): State<AuditStore>,
    AuthorizedForCampaigns(context, _): AuthorizedForCampaigns<required::AuditRead>,
    headers: HeaderMap,
    mut query: Query,
) -> Result<Response, Problem> {
    let chosen = negotiated(&headers, &TYPES)?;
    let filter = filter_of(&mut query, &context);
    let format = match chosen.subty.as_str() {
        "csv" => Format::Csv,
        "x-ndjson" => Format::Ndjson,
        _ => {
            let page = query.page();
            query.finish()?;
            allow(&filter, &context)?;
            return Ok(Json(store.page(&filter, &page).await.map_err(unreadable)?).into_response());
        }
    };
    query.whole();
    query.finish()?;
    allow(&filter, &context)?;
    let export = store.export(filter, format).await.map_err(broken_off)?;
    let entries = export.ok_or_else(|| busy("too many exports of the audit log are running"))?;
    let body = Body::from_stream(entries);
    Ok(match format {
        Format::Csv => ([(CONTENT_TYPE, CSV_TYPE), (CONTENT_DISPOSITION, CSV_FILE)], body).into_response(),
        Format::Ndjson => ([(CONTENT_TYPE, NDJSON_TYPE)], body).into_response(),
    })
}

fn allow(filter: &Filter, context: &RequestContext) -> Result<(), Problem> {
    filter.campaign_id.as_ref().map_or(Ok(()), |campaign| context.require_campaign(campaign))
}

fn filter_of(query: &mut Query, context: &RequestContext) -> Filter {
    Filter {
        campaigns: context.caller.campaigns.clone(),
        campaign_id: query.take("campaignId", CampaignId::parse),
        callback_id: query.take("callbackId", parse_uuid),
        action: query.take("action", parse_filter_text),
        actor: query.take("actor", parse_filter_text),
        outcome: query.take("outcome", parse_outcome),
        from: query.take("from", parse_instant),
        to: query.take("to", parse_instant),
    }
}

fn broken_off(error: ExportError) -> Problem {
    match error {
        ExportError::Database(error) => unreadable(error),
        ExportError::Encoding(error) => sqlx::Error::Encode(Box::new(error)).into(),
    }
}

fn unreadable(error: sqlx::Error) -> Problem {
    if is_pool_full(&error) {
        return busy("no connection for reports became free in time");
    }
    error.into()
}

fn busy(detail: &str) -> Problem {
    tracing::warn!(detail, "the audit log was not read");
    Problem::new(ProblemKind::Unavailable, detail).retry_after(RETRY_AFTER)
}

/// The action or the actor of a filter.
///
/// # Errors
/// `out-of-range` for text that is too long or has NUL.
pub fn parse_filter_text(text: &str) -> Result<String, Fault> {
    if text.chars().count() <= MAX_FILTER && !text.contains('\0') {
        return Ok(text.to_owned());
    }
    Err(Fault::new("out-of-range", format!("must be text of at most {MAX_FILTER} characters")))
}

/// The outcome of a filter.
///
/// # Errors
/// `unknown-outcome`
pub fn parse_outcome(text: &str) -> Result<Outcome, Fault> {
    text.parse().map_err(|_| Fault::new("unknown-outcome", format!("must be one of {}", Outcome::VARIANTS.join(", "))))
}
