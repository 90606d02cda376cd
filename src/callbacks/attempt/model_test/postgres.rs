//! The model of Postgres.

use futures::pending;
use jiff::Timestamp;

use super::world::Shared;
use crate::audit::Entry;
use crate::callbacks::attempt::CallbackRepository;
use crate::callbacks::model::Callback;
use crate::campaigns::PlacementRules;
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
        choose: impl FnOnce(&[u32]) -> Option<Timestamp> + Send,
    ) -> Result<bool, sqlx::Error> {
        pending!();
        let mut world = self.0.lock().unwrap();
        let placed: Vec<u32> = hours.iter().map(|_| world.rng.u32(0..100)).collect();
        drop(world);
        let Some(at) = choose(&placed) else { return Ok(true) };
        callback.place(at);
        let mut world = self.0.lock().unwrap();
        if !world.is_claimed_as(callback.attempts) {
            return Ok(false);
        }
        world.store(callback, "placed");
        if world.postgres_answers { Ok(true) } else { Err(no_answer()) }
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
