//! A simulated CXone in the test's process.

use std::ops::Deref;

use reqwest::Method;
use ringback::simulator::{self, Campaign, CampaignState, Simulator};
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use super::{CAMPAIGN, DIALING, INACTIVE_CAMPAIGN, eventually};
use crate::harness::{Control, is_nice};

/// One simulator, with three campaigns. It stops when it is dropped.
pub struct Cxone {
    control: Control,
    simulator: Simulator,
    stop: CancellationToken,
}

impl Cxone {
    pub async fn start() -> Self {
        Self::serving(if is_nice() { simulator::Api::Nice } else { simulator::Api::V2 }).await
    }

    /// With the API that NICE publishes.
    pub async fn start_nice() -> Self {
        Self::serving(simulator::Api::Nice).await
    }

    async fn serving(api: simulator::Api) -> Self {
        let simulator = Simulator::new(simulator::Settings { api, ..simulator::Settings::default() });
        simulator.add_campaign(CAMPAIGN, Campaign::default());
        simulator.add_campaign(DIALING, Campaign::default());
        let inactive = Campaign { state: CampaignState::Inactive, ..Campaign::default() };
        simulator.add_campaign(INACTIVE_CAMPAIGN, inactive);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let control = Control::new(&format!("http://{}", listener.local_addr().unwrap()));
        let stop = CancellationToken::new();
        tokio::spawn(simulator::serve(listener, simulator.clone(), stop.clone().cancelled_owned()));
        Self { control, simulator, stop }
    }

    /// Adds an active campaign, for which no forecast is cached yet.
    pub fn add_campaign(&self, id: &str) {
        self.simulator.add_campaign(id, Campaign::default());
    }

    /// The same forecast for all hours of today and tomorrow, so that the time of day does not decide which hour has
    /// the most room: callbacks are placed as early as their windows allow.
    pub async fn flatten_forecast(&self, campaign: &str) {
        let now = jiff::Timestamp::now().as_second();
        let hours = (-1..48).map(|hour| {
            let at = jiff::Timestamp::from_second((now.div_euclid(3600) + hour) * 3600).unwrap();
            json!({"hour": at, "availableAgents": 1000, "expectedCalls": 1})
        });
        let forecast = json!({"hours": hours.collect::<Vec<_>>()});
        self.control(Method::PUT, &format!("campaigns/{campaign}/forecast"), Some(forecast)).await;
    }

    /// Returns when a request of this route has been received.
    pub async fn wait_for_request(&self, route: &str) {
        eventually(&format!("a request of {route}"), async || {
            if self.received(route).await.is_empty() { Err("none was received".to_owned()) } else { Ok(()) }
        })
        .await;
    }

    /// Returns when a contact has been created.
    pub async fn wait_for_contact(&self) {
        eventually("a contact", async || {
            if self.contacts().await.is_empty() { Err("none was created".to_owned()) } else { Ok(()) }
        })
        .await;
    }

    /// Refuses connections from now on, also to the control API.
    pub async fn go_down(&mut self) {
        self.stop.cancel();
        let address = self.address();
        eventually("the end of the simulator", async || match TcpStream::connect(&address).await {
            Ok(_) => Err("it still accepts connections".into()),
            Err(_) => Ok(()),
        })
        .await;
    }

    /// Accepts connections again, at the same address and with the same state.
    pub async fn come_back(&mut self) {
        let listener = TcpListener::bind(self.address()).await.unwrap();
        self.stop = CancellationToken::new();
        let stop = self.stop.clone().cancelled_owned();
        tokio::spawn(simulator::serve(listener, self.simulator.clone(), stop));
    }

    fn address(&self) -> String {
        self.base_url.trim_start_matches("http://").to_owned()
    }
}

impl Deref for Cxone {
    type Target = Control;

    fn deref(&self) -> &Control {
        &self.control
    }
}

impl Drop for Cxone {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
