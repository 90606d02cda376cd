//! The service's client of CXone by itself.

use std::time::Duration;

use ringback::clock::Clock;
use ringback::cxone::{AuthStyle, Cxone as Client, Settings};
use ringback::simulator;

use super::{Cxone, Database};

/// With this quota, on a database whose schema is brought up to date.
pub async fn client_of(cxone: &Cxone, database: &Database, requests_per_minute: u32) -> Client {
    ringback::db::migrate(&database.pool.connect_options()).await.unwrap();
    let known = simulator::Settings::default();
    let settings = Settings {
        base_url: cxone.base_url.clone(),
        client_id: known.client_id,
        client_secret: known.client_secret.into(),
        auth: AuthStyle::Basic,
        timeout: Duration::from_secs(10),
        requests_per_minute,
    };
    Client::new(settings, database.pool.clone(), Clock::system()).unwrap()
}
