//! The paths of the services: any case, any version that works.

use axum::extract::{OriginalUri, Request};
use axum::http::Uri;

use crate::simulator::route::SERVICES;

const VERSIONS: std::ops::RangeInclusive<u32> = 12..=34;

/// The request with a path that can be matched. Other paths are left as they are.
pub(in crate::simulator) fn normalised(mut request: Request) -> Request {
    let Some(uri) = rewritten(request.uri()) else {
        return request;
    };
    let original = std::mem::replace(request.uri_mut(), uri);
    request.extensions_mut().insert(OriginalUri(original));
    request
}

fn rewritten(uri: &Uri) -> Option<Uri> {
    let path = uri.path().to_ascii_lowercase();
    let (version, rest) = path.strip_prefix(SERVICES)?.split_once('/')?;
    // A path that already has the inner form is no path of CXone.
    let known = version.strip_suffix(".0").and_then(|version| version.parse().ok());
    let prefix = if known.is_some_and(|version| VERSIONS.contains(&version)) { SERVICES } else { "/unknown-version" };
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    format!("{prefix}/{rest}{query}").parse().ok()
}
