//! The do-not-call groups of the tenant.

use reqwest::Method;

use super::reply::rows;
use super::{Nice, Request};
use crate::cxone::endpoint::Operation;
use crate::cxone::error::CxoneError;
use crate::cxone::model::RequestContext;
use crate::cxone::transport::Transport;
use crate::types::PhoneNumber;

impl Nice {
    /// Whether one of the groups has the number.
    pub async fn is_on_do_not_call_list(
        &self,
        transport: &Transport,
        number: &PhoneNumber,
        context: RequestContext<'_>,
    ) -> Result<bool, CxoneError> {
        let query = [("phoneNumber", number.as_str().trim_start_matches('+'))];
        let permission = "the permission to view do-not-call groups";
        let request = Request::new(Operation::SearchDoNotCall, Method::POST, "dnc-groups/search".into(), permission);
        let list = |body: &[u8]| rows(body, &["searchResults"]);
        Ok(!self.call(transport, request.query(&query), context, list).await?.is_empty())
    }
}
