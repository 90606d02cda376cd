//! The edge: what every route shares, and no route decides for itself.

mod caller;
mod edge;
mod idempotency;
mod idempotency_store;
mod input;
mod openapi;
mod operations;
mod prefer;
mod problem;
mod scope;

pub use caller::{Allowed, Caller};
pub use edge::{RequestInfo, wrap};
pub use idempotency::{Idempotency, KeptBody, ResourceId, idempotent};
pub use input::{Faults, JsonBody, JsonBytes, JsonType, Member, OptionalJsonBody, Query, Segment, Unknown, parse_json};
pub use openapi::{complete, describe};
pub use operations::{Operations, docs};
pub use prefer::preferred_wait;
pub use problem::{FieldFault, Problem, ProblemKind, ProblemSchema};
pub use scope::{RequiredScope, Scope, required};
