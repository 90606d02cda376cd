//! The service's client of CXone by itself.

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use ringback::clock::Clock;
use ringback::cxone::{Api, AuthStyle, Cxone as Client, Settings, SkillMapping, SkillMappings, V2Settings};
use ringback::simulator;
use ringback::types::CampaignId;

use super::{Cxone, Database};

/// Campaigns without skills.
struct NoSkills;

impl SkillMappings for NoSkills {
    fn skills_of<'a>(&'a self, _: &'a CampaignId) -> BoxFuture<'a, Result<Option<SkillMapping>, sqlx::Error>> {
        Box::pin(async { Ok(None) })
    }
}

/// With this quota, on a database whose schema is brought up to date.
pub async fn client_of(cxone: &Cxone, database: &Database, requests_per_minute: u32) -> Client {
    ringback::db::migrate(&database.pool.connect_options()).await.unwrap();
    let known = simulator::Settings::default();
    let settings = Settings {
        api: Api::V2(V2Settings {
            base_url: cxone.base_url.clone(),
            client_id: known.client_id,
            client_secret: known.client_secret.into(),
            auth: AuthStyle::Basic,
        }),
        timeout: Duration::from_secs(10),
        requests_per_minute,
    };
    Client::new(settings, Arc::new(NoSkills), database.pool.clone(), Clock::system()).unwrap()
}
