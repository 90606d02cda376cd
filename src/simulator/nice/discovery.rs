//! Where the APIs of a tenant are: all at the simulator's own address.

use axum::http::{HeaderMap, header};
use serde_json::json;

use super::answer::{Reply, invalid, ok, unknown};
use super::params::Params;
use super::tenant::{AREA, TENANT_ID};

/// The address that the client used.
pub(super) fn own_url(headers: &HeaderMap) -> String {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost");
    format!("http://{host}")
}

/// `GET /.well-known/openid-configuration`
pub(super) async fn openid(headers: HeaderMap) -> Reply {
    let url = own_url(&headers);
    ok(json!({
        "issuer": url,
        "token_endpoint": format!("{url}/auth/token"),
        "token_endpoint_auth_methods_supported": ["client_secret_basic"],
    }))
}

/// `GET /.well-known/cxone-configuration?tenantId=`
pub(super) async fn cxone(headers: HeaderMap, params: Params) -> Reply {
    let tenant = params.text("tenantId").ok_or_else(|| invalid("tenantId"))?;
    if tenant != TENANT_ID {
        return Err(unknown("there is no such tenant"));
    }
    let url = own_url(&headers);
    ok(json!({
        "api_endpoint": url, "auth_endpoint": url, "ui_endpoint": url, "area": AREA, "cluster": "C1",
        "domain": "niceincontact.com", "acdDomain": "nice-incontact.com", "uhDomain": "nicecxone.com",
        "tenantId": TENANT_ID, "private": false,
    }))
}
