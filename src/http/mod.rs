//! What all routes share: layers, request context, validation, problems, idempotency keys, OpenAPI.

mod accept;
mod body;
mod caller;
mod client_address;
mod compression;
mod conditional;
mod context;
#[cfg(test)]
mod fuzz_test;
mod idempotency;
mod idempotency_store;
#[cfg(test)]
mod idempotency_store_test;
mod in_process;
mod layers;
mod openapi;
mod operations;
mod prefer;
mod problem;
mod query;
mod refusal;
mod request_info;
mod scope;
mod server;
mod server_connection;
mod server_span;
pub mod validation;

pub use accept::negotiated;
pub use body::{BODY_DEADLINE, JsonBody, JsonBytes, NoBody, OptionalJsonBody, PathParam, parse_json};
pub use caller::{Caller, Credential};
pub use conditional::{Preconditions, not_modified, tagged};
pub use context::{Authorized, AuthorizedForCampaigns, RequestContext};
pub use idempotency::{Idempotency, StoredBody, idempotent};
#[cfg(test)]
pub use idempotency_store::ResourceId;
pub use idempotency_store::{IdempotencyStore, KeptAnswer};
pub use in_process::Cause;
pub use layers::{RATE_LIMIT, RATE_LIMIT_POLICY, RequestLimits, wrap};
pub use openapi::{complete, describe};
pub use operations::{Operations, docs, problem_pages};
pub use prefer::PreferredWait;
pub use problem::{Problem, ProblemKind, ProblemSchema};
pub use query::Query;
pub use refusal::{Received, Refusal, RefusalLog, RefusedItems};
pub use scope::{Scope, UnknownScope, required};
pub use server::{serve, serve_tls};
pub use server_connection::ConnectionLimits;
