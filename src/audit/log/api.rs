//! The routes of the transparency log: its state, proofs, and the files that C2SP tlog-tiles defines.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use tlog_tiles::tile::Tile;
use tlog_tiles::tlog::HASH_SIZE;
use tokio::sync::Mutex;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::proof::Proof;
use super::store::LogStore;
use super::tree::{TILE_HEIGHT, TilePosition};
use super::verify::{Expected, Verification, verify};
use super::{LogKeys, PublicKey};
use crate::audit::model::Entry;
use crate::http::{Authorized, AuthorizedForCampaigns, PathParam, Problem, ProblemKind, required};
use crate::types::{AllowedCampaigns, CampaignId};

/// A verification waits so long for another one that runs.
const TURN_WITHIN: Duration = Duration::from_secs(5);
/// Tiles never change.
const IMMUTABLE: &str = "private, max-age=31536000, immutable";

/// What the routes need.
#[derive(Clone)]
pub struct AuditLog {
    store: LogStore,
    keys: Arc<[PublicKey]>,
    turn: Arc<Mutex<()>>,
}

impl AuditLog {
    /// The keys check the log: one of them must have signed it. Without keys, nothing is sealed.
    pub fn new(store: LogStore, keys: Option<&LogKeys>) -> Self {
        let keys = keys.map(LogKeys::public).unwrap_or_default().into();
        Self { store, keys, turn: Arc::default() }
    }
}

/// The routes.
pub fn routes() -> OpenApiRouter<AuditLog> {
    OpenApiRouter::new()
        .routes(routes!(verification))
        .routes(routes!(entry))
        .routes(routes!(proof))
        .routes(routes!(checkpoint))
        .routes(routes!(tile))
}

/// Verify the audit log
///
/// Reads the whole log. For a log of many millions of entries, use `ringback audit verify`.
#[utoipa::path(get, path = "/v1/audit/verification", operation_id = "verifyAudit", tag = "Audit",
    security(("key" = ["audit:read"])), responses((status = 200, body = Verification)))]
async fn verification(
    State(log): State<AuditLog>,
    _: Authorized<required::AuditRead>,
) -> Result<Json<Verification>, Problem> {
    let busy = |_| Problem::new(ProblemKind::Unavailable, "the audit log is being verified").retry_after(5);
    let _turn = tokio::time::timeout(TURN_WITHIN, log.turn.lock()).await.map_err(busy)?;
    Ok(Json(verify(&log.store, &Expected { keys: &log.keys, kept: None }).await?))
}

/// Get an audit entry
///
/// An API key that is restricted to campaigns reads only the entries of these.
#[utoipa::path(get, path = "/v1/audit/{id}", operation_id = "getAuditEntry", tag = "Audit",
    security(("key" = ["audit:read"])), params(("id" = Uuid, Path)),
    responses((status = 200, body = Entry), (status = 404)))]
async fn entry(
    State(log): State<AuditLog>,
    AuthorizedForCampaigns(context, _): AuthorizedForCampaigns<required::AuditRead>,
    PathParam(id): PathParam<Uuid>,
) -> Result<Json<Entry>, Problem> {
    let entry = log.store.entry(id).await?.map(|recorded| recorded.entry);
    let entry = entry.filter(|entry| is_visible(entry, &context.caller.campaigns));
    entry.map(Json).ok_or_else(|| Problem::not_found("audit entry"))
}

/// Whether the list has the entry for a caller who may see these campaigns.
fn is_visible(entry: &Entry, campaigns: &AllowedCampaigns) -> bool {
    let campaign = entry.campaign_id.as_deref().and_then(|id| CampaignId::parse(id).ok());
    !campaigns.is_restricted() || campaign.is_some_and(|campaign| campaigns.contains(&campaign))
}

/// Prove that an entry is in the audit log
///
/// `ringback audit verify --proof FILE --key PUBLIC` checks the answer without the service and its database.
#[utoipa::path(get, path = "/v1/audit/{id}/proof", operation_id = "proveAuditEntry", tag = "Audit",
    security(("key" = ["audit:read"])), params(("id" = Uuid, Path)),
    responses((status = 200, body = Proof), (status = 404), (status = 409)))]
async fn proof(
    State(log): State<AuditLog>,
    _: Authorized<required::AuditRead>,
    PathParam(id): PathParam<Uuid>,
) -> Result<Json<Proof>, Problem> {
    let not_found = || Problem::not_found("audit entry");
    let recorded = log.store.entry(id).await?.ok_or_else(not_found)?;
    let tree = log.store.newest_checkpoint().await?;
    let index = log.store.leaf_of(recorded.seq).await?;
    let (Some(tree), Some(index)) = (tree, index) else { return Err(log.not_sealed()) };
    if index >= tree.size {
        return Err(log.not_sealed());
    }
    Ok(Json(Proof::make(&log.store, &recorded, index, &tree).await?))
}

impl AuditLog {
    fn not_sealed(&self) -> Problem {
        if self.keys.is_empty() {
            return Problem::new(ProblemKind::AuditEntryNotSealed, "the service runs without an AUDIT_SIGNING_KEY");
        }
        Problem::new(ProblemKind::AuditEntryNotSealed, "the entry was recorded a moment ago").retry_after(1)
    }
}

/// The newest checkpoint
///
/// A signed note, as C2SP tlog-checkpoint and tlog-tiles define it.
#[utoipa::path(get, path = "/v1/audit/log/checkpoint", operation_id = "getAuditCheckpoint", tag = "Audit",
    security(("key" = ["audit:read"])),
    responses((status = 200, body = String, content_type = "text/plain"), (status = 404)))]
async fn checkpoint(State(log): State<AuditLog>, _: Authorized<required::AuditRead>) -> Result<Response, Problem> {
    let newest = log.store.newest_checkpoint().await?;
    let newest = newest.ok_or_else(|| Problem::not_found("checkpoint"))?;
    Ok(([(CONTENT_TYPE, "text/plain; charset=utf-8"), (CACHE_CONTROL, "no-cache")], newest.checkpoint).into_response())
}

/// A tile of hashes
///
/// As C2SP tlog-tiles defines it: `{level}/{index}`, with `.p/{width}` for a tile that was not full.
#[utoipa::path(get, path = "/v1/audit/log/tile/{*path}", operation_id = "getAuditTile", tag = "Audit",
    security(("key" = ["audit:read"])), params(("path" = String, Path, example = "0/x001/234.p/12")),
    responses((status = 200, body = Vec<u8>, content_type = "application/octet-stream"), (status = 404)))]
async fn tile(
    State(log): State<AuditLog>,
    _: Authorized<required::AuditRead>,
    PathParam(path): PathParam<String>,
) -> Result<Response, Problem> {
    let not_found = || Problem::not_found("tile");
    let tile = Tile::from_path(&format!("tile/{TILE_HEIGHT}/{path}")).map_err(|_| not_found())?;
    if tile.is_data() {
        return Err(not_found());
    }
    let position = TilePosition { level: tile.level(), tile: tile.level_index() };
    let (_, mut hashes) = log.store.tiles(&[position]).await?.pop().ok_or_else(not_found)?;
    let length = tile.width() as usize * HASH_SIZE;
    if hashes.len() < length {
        return Err(not_found());
    }
    hashes.truncate(length);
    Ok(([(CONTENT_TYPE, "application/octet-stream"), (CACHE_CONTROL, IMMUTABLE)], hashes).into_response())
}
