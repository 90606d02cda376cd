//! Where the APIs of the tenant are.

use std::sync::Arc;

use parking_lot::Mutex;

use super::auth::{Auth, Tenant};
use super::reply::Fields;
use crate::cxone::error::CxoneError;
use crate::cxone::model::RequestContext;
use crate::cxone::settings::{DEFAULT_ISSUER, NiceSettings};
use crate::cxone::transport::Transport;

/// The base URLs of a tenant, without a slash at the end.
#[derive(Clone, Debug, PartialEq)]
struct Bases {
    api: Option<String>,
    digital: Option<String>,
}

/// The tenant's configuration, read once.
pub struct Discovery {
    settings: NiceSettings,
    auth: Arc<Auth>,
    known: Mutex<Option<Bases>>,
}

impl Discovery {
    pub fn new(settings: NiceSettings, auth: Arc<Auth>) -> Self {
        Self { settings, auth, known: Mutex::default() }
    }

    /// The base of the calls of the ACD.
    pub async fn api(&self, transport: &Transport, context: RequestContext<'_>) -> Result<String, CxoneError> {
        let host = match &self.settings.base_url {
            Some(url) => url.clone(),
            None => {
                let named = self.bases(transport, context).await?.api;
                named.ok_or_else(|| CxoneError::unavailable("the tenant is unknown: set CXONE_BASE_URL"))?
            }
        };
        Ok(format!("{host}/incontactapi/services/v{}.0", self.settings.api_version))
    }

    /// The base of the calls of Digital.
    pub async fn digital(&self, transport: &Transport, context: RequestContext<'_>) -> Result<String, CxoneError> {
        if let Some(url) = &self.settings.digital_url {
            return Ok(url.clone());
        }
        let named = self.bases(transport, context).await?.digital;
        named.ok_or_else(|| CxoneError::unavailable("the tenant does not name its area: set CXONE_DIGITAL_URL"))
    }

    /// The host may have moved: it is asked for again.
    pub fn forget(&self) {
        *self.known.lock() = None;
    }

    async fn bases(&self, transport: &Transport, context: RequestContext<'_>) -> Result<Bases, CxoneError> {
        if let Some(known) = self.known.lock().clone() {
            return Ok(known);
        }
        transport.authorize(context.class).await?;
        let tenant = self.auth.tenant().unwrap_or_default();
        let bases = self.read(transport, context, &tenant).await?;
        Ok(self.known.lock().insert(bases).clone())
    }

    async fn read(
        &self,
        transport: &Transport,
        context: RequestContext<'_>,
        tenant: &Tenant,
    ) -> Result<Bases, CxoneError> {
        let of_cluster = tenant.cluster.as_ref().map(|cluster| format!("https://api-{cluster}.nice-incontact.com"));
        let Some(id) = &tenant.id else { return Ok(Bases { api: of_cluster, digital: None }) };
        let requests = transport.token_requests(context.class);
        let url = format!("{}/.well-known/cxone-configuration", self.issuer(tenant));
        let body = requests.send(requests.http.get(url).query(&[("tenantId", id)])).await?;
        let fields = Fields::read(&body)
            .ok_or_else(|| CxoneError::unavailable("the configuration of the tenant is in an unknown format"))?;
        let api = fields.text(&["api_endpoint"]).filter(|url| self.settings.allows(url));
        let digital = fields.text(&["area"]).zip(fields.text(&["domain"]));
        let digital = digital.map(|(area, domain)| format!("https://api-de-{area}.{domain}/dfo/3.0"));
        Ok(Bases {
            api: api.map(|url| url.trim_end_matches('/').to_owned()).or(of_cluster),
            digital: digital.filter(|url| self.settings.allows(url)),
        })
    }

    /// The configured issuer, or the one that the token names, where it is one of NICE's.
    fn issuer(&self, tenant: &Tenant) -> String {
        let named = tenant.issuer.as_deref().filter(|issuer| self.settings.trusts(issuer));
        let issuer = self.settings.issuer.as_deref().or(named).unwrap_or(DEFAULT_ISSUER);
        issuer.trim_end_matches('/').to_owned()
    }
}
