//! URLs of CXone.

use reqwest::Url;

use super::errors::BadSetting;
use crate::cxone::is_loopback;

/// A URL without a slash at the end: https, or http where it is allowed.
pub fn http_url(variable: &str, text: &str, allow_http: bool) -> Result<String, BadSetting> {
    let bad = |fault: &str| BadSetting::new(variable, fault);
    let url = Url::parse(text).map_err(|_| bad("must be a URL such as https://api.us.conversationalcloud.com"))?;
    url.host_str().ok_or_else(|| bad("must name a host"))?;
    match url.scheme() {
        "https" => {}
        "http" if is_loopback(&url) || allow_http => {}
        "http" => return Err(bad("must be https; for plain http on another host, set CXONE_ALLOW_HTTP=true")),
        _ => return Err(bad("must be an https URL")),
    }
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
        return Err(bad("must be a scheme and a host, without credentials or query"));
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}
