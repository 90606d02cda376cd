//! The model of Postgres.

use uuid::Uuid;

use super::world::{Shared, World, yield_now};
use crate::audit::Entry;
use crate::campaigns::model::{Campaign, Changes, Report, Status};
use crate::campaigns::ports::CampaignRepository;
use crate::cxone::CampaignState;
use crate::types::CampaignId;

const LEASE_MS: i64 = 5_000;

pub struct ModelRepository(pub Shared);

impl ModelRepository {
    /// Claims the lease where it is free and, with `only_due`, something is due.
    pub fn claim(&self, lease: Uuid, only_due: bool) -> bool {
        let mut world = self.0.lock().unwrap();
        let is_free = world.row.leased_by.is_none() || world.leased_until_ms <= world.now_ms;
        if !is_free || (only_due && !world.is_due()) {
            return false;
        }
        world.row.leased_by = Some(lease);
        world.leased_until_ms = world.now_ms + LEASE_MS;
        true
    }
}

impl CampaignRepository for ModelRepository {
    async fn load(&self, _: &CampaignId) -> Result<Campaign, sqlx::Error> {
        yield_now().await;
        Ok(self.0.lock().unwrap().stored())
    }

    async fn save(
        &self,
        campaign: &Campaign,
        changes: Changes,
        lease: Option<Uuid>,
        release: bool,
    ) -> Result<bool, sqlx::Error> {
        yield_now().await;
        let mut world = self.0.lock().unwrap();
        if world.row.revision != campaign.revision || (lease.is_some() && world.row.leased_by != lease) {
            return Ok(false);
        }
        if changes.command.as_ref().is_some_and(|(id, _)| world.reports.contains_key(id)) {
            return Ok(false);
        }
        world.check_save(&changes);
        let leased_by = if release && lease.is_some() { None } else { world.row.leased_by };
        let holds = Vec::new();
        world.row = Campaign { revision: campaign.revision + 1, leased_by, holds, ..campaign.clone() };
        world.placed.extend(changes.placed.iter().map(|hold| hold.id));
        world.holds.extend(changes.placed);
        for refreshed in changes.refreshed {
            world.holds.iter_mut().filter(|hold| hold.id == refreshed.id).for_each(|hold| *hold = refreshed.clone());
        }
        world.holds.retain(|hold| changes.lifted.iter().all(|lifted| lifted.id != hold.id));
        if let Some((id, report)) = changes.command {
            save_report(&mut world, campaign, id, report);
        }
        for entry in changes.entries {
            world.log(format_args!("{}", entry.action.as_str()));
        }
        Ok(true)
    }

    async fn release(&self, _: &CampaignId, lease: Uuid, entry: Option<Entry>) -> Result<(), sqlx::Error> {
        yield_now().await;
        let mut world = self.0.lock().unwrap();
        if world.row.leased_by == Some(lease) {
            world.row.leased_by = None;
        }
        world.log(format_args!("{}", entry.as_ref().map_or("released", |entry| entry.action.as_str())));
        Ok(())
    }

    async fn command_report(&self, command: Uuid) -> Result<Option<Report>, sqlx::Error> {
        yield_now().await;
        Ok(self.0.lock().unwrap().reports.get(&command).cloned())
    }
}

fn save_report(world: &mut World, campaign: &Campaign, id: Uuid, report: Report) {
    let has_resume = campaign.resume.as_ref().is_some_and(|resume| resume.cause.command_id == Some(id));
    let is_to_start = report.status == Status::Pending && (report.holds.is_empty() || has_resume);
    let is_resume = world.resumes.contains(&id);
    world.is_start_owed |= is_resume && is_to_start && world.cxone.state == CampaignState::Paused;
    world.reports.insert(id, report);
}
