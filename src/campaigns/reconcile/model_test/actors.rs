//! The work of a replica, as `CampaignWorker` does it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;

use super::cxone::ModelGateway;
use super::postgres::ModelRepository;
use super::world::Shared;
use crate::campaigns::model::{Campaign, Command, Report};
use crate::campaigns::ports::CampaignRepository as _;
use crate::campaigns::reconcile::error::AttemptError;
use crate::campaigns::reconcile::reconciler::Reconciler;
use crate::clock::Clock;
use crate::trace::Traceparent;
use crate::types::CampaignId;

pub type Replica = Arc<Reconciler<ModelRepository, ModelGateway>>;

pub fn replica(world: &Shared, clock_error_ms: i64, seed: u64) -> Replica {
    let shared = Arc::clone(world);
    let now = move || Timestamp::from_millisecond(shared.lock().unwrap().now_ms + clock_error_ms).unwrap();
    let rng = Mutex::new(fastrand::Rng::with_seed(seed));
    let gateway = ModelGateway { world: Arc::clone(world), rng };
    Arc::new(Reconciler { repository: ModelRepository(Arc::clone(world)), gateway, clock: Clock::manual(now, seed) })
}

/// Executes a command: under the lease where it is free, else without CXone.
pub async fn execute(world: Shared, replica: Replica, command: Command) {
    let id = CampaignId::parse("c").unwrap();
    let lease = replica.clock.new_id();
    let result = if replica.repository.claim(lease, false) {
        let is_saved = Mutex::new(false);
        let on_saved = |_: &Report, _: &Campaign| *is_saved.lock().unwrap() = true;
        match replica.execute(&id, lease, &command, Duration::ZERO, &on_saved).await {
            Err(AttemptError::Refused(refusal)) => {
                let entry = command.refused_entry(&id, &refusal, &replica.clock);
                replica.repository.release(&id, lease, Some(entry)).await.unwrap();
                return;
            }
            Err(AttemptError::AlreadyExecuted(report)) => {
                replica.repository.release(&id, lease, None).await.unwrap();
                Ok(*report)
            }
            Err(AttemptError::LeaseLost) if !*is_saved.lock().unwrap() => replica.execute_later(&id, &command).await,
            result => result,
        }
    } else {
        replica.execute_later(&id, &command).await
    };
    if matches!(result, Err(AttemptError::Database(_))) {
        world.lock().unwrap().report_broken("the database failed");
    }
}

/// Reconciles the campaign, where it is due and its lease is free.
pub async fn converge(replica: Replica) {
    let id = CampaignId::parse("c").unwrap();
    let lease = replica.clock.new_id();
    if replica.repository.claim(lease, true) {
        let _ = replica.converge(&id, lease, &Traceparent::root(lease)).await;
    }
}
