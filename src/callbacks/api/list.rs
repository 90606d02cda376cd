use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use strum::VariantArray as _;

use super::view::CallbackView;
use crate::callbacks::intake::Callbacks;
use crate::callbacks::model::Status;
use crate::callbacks::store::Filter;
use crate::db::Page;
use crate::http::{AuthorizedForCampaigns, Problem, Query, required};
use crate::types::{CampaignId, ExternalId, Fault, PhoneNumber, parse_instant};

/// List callbacks
///
/// Newest first.
#[utoipa::path(get, path = "/v1/callbacks", operation_id = "listCallbacks", tag = "Callbacks",
    security(("key" = ["callbacks:read"])),
    params(
        ("status" = Option<Status>, Query), ("campaignId" = Option<String>, Query),
        ("phoneNumber" = Option<String>, Query, description = "In any form that a POST accepts"),
        ("externalId" = Option<String>, Query),
        ("from" = Option<String>, Query, format = DateTime, description = "Accepted at this time or later"),
        ("to" = Option<String>, Query, format = DateTime, description = "Accepted before this time"),
        ("limit" = Option<u8>, Query, description = "1 to 200; 50 by default"), ("cursor" = Option<String>, Query),
    ),
    responses((status = 200, body = Page<CallbackView>), (status = 422)))]
pub(super) async fn list(
    State(callbacks): State<Arc<Callbacks>>,
    AuthorizedForCampaigns(context, _): AuthorizedForCampaigns<required::CallbacksRead>,
    mut query: Query,
) -> Result<Json<Page<CallbackView>>, Problem> {
    let filter = Filter {
        status: query.take("status", parse_status),
        campaign_id: query.take("campaignId", CampaignId::parse),
        campaigns: context.caller.campaigns.clone(),
        phone_number: query.take("phoneNumber", |text| PhoneNumber::parse(text, &callbacks.region)),
        external_id: query.take("externalId", ExternalId::parse),
        from: query.take("from", parse_instant),
        to: query.take("to", parse_instant),
    };
    let page = query.page();
    query.finish()?;
    if let Some(campaign) = &filter.campaign_id {
        context.require_campaign(campaign)?;
    }
    let page = callbacks.store.page(&filter, &page).await?;
    Ok(Json(page.map(CallbackView::from)))
}

fn parse_status(text: &str) -> Result<Status, Fault> {
    text.parse().map_err(|_| {
        let names: Vec<&str> = Status::VARIANTS.iter().map(AsRef::as_ref).collect();
        Fault::new("unknown-status", format!("must be one of {}", names.join(", ")))
    })
}
