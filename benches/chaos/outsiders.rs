//! Other CXone users, who start, pause and suspend campaigns; and a gateway that finds no campaign for a while.

use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use tokio_util::sync::CancellationToken;

use super::cxone::Cxone;

pub struct Outsiders {
    pub cxone: Arc<Cxone>,
    pub campaigns: Vec<String>,
}

impl Outsiders {
    /// Does one thing after the other until `stop`, and leaves no campaign suspended.
    pub async fn run(self, mut rng: Rng, stop: CancellationToken) {
        while !stop.is_cancelled() {
            stop.run_until_cancelled(tokio::time::sleep(Duration::from_millis(rng.u64(1_500..6_000)))).await;
            let campaign = &self.campaigns[rng.usize(0..self.campaigns.len())];
            match rng.u32(0..100) {
                0..35 => self.cxone.change(campaign, "ACTIVE").await,
                35..55 => self.cxone.change(campaign, "PAUSED").await,
                55..75 => self.suspend(campaign, Duration::from_millis(rng.u64(500..6_000)), &mut rng).await,
                _ => self.gateway(campaign, Duration::from_millis(rng.u64(1_000..6_000)), &mut rng).await,
            }
        }
    }

    /// As it was afterwards, or dialing.
    async fn suspend(&self, campaign: &str, lasting: Duration, rng: &mut Rng) {
        let closed = if rng.bool() { "SUSPENDED" } else { "INACTIVE" };
        self.cxone.change(campaign, closed).await;
        tokio::time::sleep(lasting).await;
        let opened = if rng.bool() { "PAUSED" } else { "ACTIVE" };
        self.cxone.change(campaign, opened).await;
    }

    /// Every request for the campaign is answered by a gateway.
    async fn gateway(&self, campaign: &str, lasting: Duration, rng: &mut Rng) {
        let status = rng.choice([404, 404, 403, 410]).unwrap_or(404);
        let fault = self.cxone.gateway(campaign, status).await;
        tokio::time::sleep(lasting).await;
        self.cxone.remove_fault(fault).await;
    }
}
