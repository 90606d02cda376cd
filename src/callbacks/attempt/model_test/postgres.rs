//! The model of Postgres.

use futures::pending;
use jiff::Timestamp;
use uuid::Uuid;

use super::world::Shared;
use crate::audit::Entry;
use crate::callbacks::attempt::CallbackRepository;
use crate::callbacks::model::Callback;
use crate::campaigns::PlacementRules;
use crate::placement::{Decision, HourPlaces, PlanVersion};
use crate::types::CampaignId;

fn no_answer() -> sqlx::Error {
    sqlx::Error::Io(std::io::ErrorKind::TimedOut.into())
}

pub struct ModelRepository(pub Shared);

impl CallbackRepository for ModelRepository {
    async fn rules(&self, _: &CampaignId) -> Result<PlacementRules, sqlx::Error> {
        pending!();
        Ok(PlacementRules::default())
    }

    async fn place(
        &self,
        callback: &mut Callback,
        hours: &[Timestamp],
        choose: impl FnOnce(Option<PlanVersion>, &[HourPlaces]) -> Option<Decision> + Send,
    ) -> Result<bool, sqlx::Error> {
        pending!();
        let mut world = self.0.lock().unwrap();
        let placed = hours.iter().map(|_| HourPlaces { placed: world.rng.u32(0..100), ..HourPlaces::default() });
        let placed: Vec<_> = placed.collect();
        drop(world);
        let Some(decision) = choose(None, &placed) else { return Ok(true) };
        callback.place(decision.choice.dispatch_time);
        let mut world = self.0.lock().unwrap();
        if !world.is_claimed_as(callback.attempts) {
            return Ok(false);
        }
        world.store(callback, "placed");
        if world.postgres_answers { Ok(true) } else { Err(no_answer()) }
    }

    async fn has_claim(&self, _: Uuid, attempt: i32) -> Result<bool, sqlx::Error> {
        Ok(self.0.lock().unwrap().is_claimed_as(attempt))
    }

    async fn record(&self, _: Entry) -> Result<(), sqlx::Error> {
        Ok(())
    }

    async fn save_change(&self, callback: &Callback, entry: Option<Entry>) -> Result<bool, sqlx::Error> {
        self.save(callback, entry).await
    }

    async fn save(&self, callback: &Callback, entry: Option<Entry>) -> Result<bool, sqlx::Error> {
        pending!();
        let mut world = self.0.lock().unwrap();
        if !world.is_claimed_as(callback.attempts) {
            return Ok(false);
        }
        if !world.postgres_answers && world.rng.bool() {
            return Err(no_answer());
        }
        world.store(callback, entry.as_ref().map_or("saved", |entry| entry.action.as_str()));
        if world.postgres_answers { Ok(true) } else { Err(no_answer()) }
    }
}
