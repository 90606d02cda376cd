//! What the console shows of the service itself, which no operation of the API has.

use std::sync::Arc;

use futures::FutureExt as _;
use futures::future::BoxFuture;

use crate::console::LiveSource;
use crate::cxone::Cxone;

/// Reads the state of the service.
pub struct ServiceState {
    pub cxone: Arc<Cxone>,
}

impl LiveSource for ServiceState {
    fn state(&self) -> BoxFuture<'_, Result<String, sqlx::Error>> {
        async { Ok(self.cxone.condition().to_string()) }.boxed()
    }
}
