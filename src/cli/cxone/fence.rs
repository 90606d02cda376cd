//! `ringback cxone fence`

use anyhow::{Context as _, bail};
use serde::Serialize;

use super::connected;
use crate::audit::{self, Action, Actor, Entry, Outcome};
use crate::campaigns::SettingsStore;
use crate::config::{Given, ServiceArgs, SettingErrors, keep};
use crate::cxone::{Class, RequestContext, SkillHours};
use crate::trace::Traceparent;
use crate::types::CampaignId;

/// The other settings are those of `ringback serve`.
#[derive(clap::Args)]
pub struct Fence {
    #[command(flatten)]
    service: ServiceArgs,
    /// The campaign whose regulatory window is written into the hours of its skills
    #[arg(long, value_parser = keep(parse_campaign), value_name = "ID")]
    campaign: Given<CampaignId>,
    /// Write the hours; without it, only what differs is printed
    #[arg(long)]
    apply: bool,
}

fn parse_campaign(text: &str) -> Result<CampaignId, String> {
    CampaignId::parse(text).map_err(|fault| fault.detail.clone())
}

/// The detail of the audit entry.
#[derive(Serialize)]
struct Detail<'a> {
    skills: &'a [SkillHours],
}

impl Fence {
    /// Prints a line for each skill.
    pub async fn run(self) -> anyhow::Result<()> {
        let mut errors = SettingErrors::default();
        let campaign = errors.take(self.campaign);
        let campaign = errors.finish(campaign)?;
        let (db, cxone, clock) = connected(self.service.settings()?).await?;
        let (settings, _) = SettingsStore::new(db.clone()).with_version(&campaign).await?;
        let Some(window) = settings.regulatory_window else {
            bail!("the settings of campaign {campaign} have no regulatoryWindow");
        };
        let trace = Traceparent::root(clock.new_id());
        let context = RequestContext { class: Class::Control, trace: &trace };
        let fenced = cxone.fence(&campaign, &window, self.apply, context).await;
        if self.apply {
            let (outcome, skills) = match &fenced {
                Ok(skills) => (Outcome::Succeeded, skills.as_slice()),
                Err(_) => (Outcome::Failed, &[][..]),
            };
            let entry = Entry {
                campaign_id: Some(campaign.to_string()),
                ..Entry::new(clock.new_id(), clock.now(), Action::CampaignFenced, Actor::system("cli"), outcome)
                    .with_detail(&Detail { skills })
            };
            audit::record(db.pool(), entry).await.context("the audit entry could not be stored")?;
        }
        print(&fenced?, self.apply);
        db.close().await;
        Ok(())
    }
}

fn print(skills: &[SkillHours], applied: bool) {
    for skill in skills {
        let SkillHours { skill_id, start_time, end_time, differences } = skill;
        let state = match (differences.is_empty(), applied) {
            (true, _) => "unchanged",
            (false, true) => "written",
            (false, false) => "to be written: repeat with --apply",
        };
        anstream::println!("skill {skill_id}  {start_time} to {end_time} each day  {state}");
        for difference in differences {
            anstream::println!("  {difference}");
        }
    }
}
