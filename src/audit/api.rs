//! `GET /v1/audit`.

use axum::Json;
use axum::extract::State;
use strum::VariantNames as _;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::model::{Entry, Outcome};
use super::store::{AuditStore, Filter};
use crate::db::Page;
use crate::http::{Authorized, Problem, Query, required};
use crate::types::{CampaignId, Fault, parse_instant, parse_uuid};

/// In characters: longer text matches nothing that is stored.
const MAX_FILTER: usize = 200;

/// The routes.
pub fn routes() -> OpenApiRouter<AuditStore> {
    OpenApiRouter::new().routes(routes!(list))
}

/// Read the audit log
///
/// Newest first. Follow a callback from the POST to the SMS with `callbackId`.
#[utoipa::path(get, path = "/v1/audit", operation_id = "listAudit", tag = "Audit", security(("key" = ["audit:read"])),
    params(
        ("campaignId" = Option<String>, Query), ("callbackId" = Option<uuid::Uuid>, Query),
        ("action" = Option<String>, Query, example = "callback.scheduled"),
        ("actor" = Option<String>, Query, description = "An actor's id or name"),
        ("outcome" = Option<Outcome>, Query),
        ("from" = Option<String>, Query, format = DateTime, description = "From this instant on"),
        ("to" = Option<String>, Query, format = DateTime, description = "Before this instant"),
        ("limit" = Option<u8>, Query, description = "1 to 200; 50 where absent"), ("cursor" = Option<String>, Query),
    ),
    responses((status = 200, body = Page<Entry>), (status = 422)))]
async fn list(
    State(store): State<AuditStore>,
    _: Authorized<required::AuditRead>,
    mut query: Query,
) -> Result<Json<Page<Entry>>, Problem> {
    let filter = Filter {
        campaign_id: query.take("campaignId", CampaignId::parse),
        callback_id: query.take("callbackId", parse_uuid),
        action: query.take("action", bounded),
        actor: query.take("actor", bounded),
        outcome: query.take("outcome", parse_outcome),
        from: query.take("from", parse_instant),
        to: query.take("to", parse_instant),
    };
    let page = query.page();
    query.finish()?;
    Ok(Json(store.page(&filter, &page).await?))
}

fn bounded(text: &str) -> Result<String, Fault> {
    if text.chars().count() <= MAX_FILTER && !text.contains('\0') {
        return Ok(text.to_owned());
    }
    Err(Fault::new("out-of-range", format!("must be text of at most {MAX_FILTER} characters")))
}

fn parse_outcome(text: &str) -> Result<Outcome, Fault> {
    text.parse().map_err(|_| Fault::new("unknown-outcome", format!("must be one of {}", Outcome::VARIANTS.join(", "))))
}
