//! How commands are executed: under a lease together with CXone, or without either for the next attempt.

use std::time::Duration;

use uuid::Uuid;

use super::error::AttemptError;
use super::reconciler::{Lease, Planned, Reconciler, Work};
use crate::campaigns::model::{Campaign, Changes, Command, Refusal, Report, Status};
use crate::campaigns::ports::{CampaignGateway, CampaignRepository, Urgency};
use crate::cxone::{CampaignState, CxoneError};
use crate::types::CampaignId;

impl<R: CampaignRepository, G: CampaignGateway> Reconciler<R, G> {
    /// Executes a command under a lease, as far as CXone can be brought now. CXone has `read_timeout` to show the
    /// campaign. `on_saved` is called as soon as the command is stored.
    ///
    /// # Errors
    /// Where the command is refused, or the attempt stops. What was saved is continued by the next attempt.
    pub async fn execute(
        &self,
        id: &CampaignId,
        lease: Uuid,
        command: &Command,
        read_timeout: Duration,
        on_saved: &(dyn Fn(&Report, &Campaign) + Send + Sync),
    ) -> Result<Report, AttemptError> {
        if let Some(report) = self.earlier_report(command).await? {
            self.repository.release(id, lease, None).await?;
            return Ok(report);
        }
        let mut campaign = self.repository.load(id).await?;
        let known = campaign.resume.clone();
        // A command that is refused whatever CXone shows costs no request.
        campaign.clone().apply(command, None, &mut Changes::default(), &self.clock).map_err(AttemptError::Refused)?;
        let shown = match self.gateway.read(id, Some(read_timeout), Urgency::Due, &command.trace).await {
            Ok(shown) => shown,
            Err(CxoneError::NotFound { .. }) if !campaign.is_known() => {
                return Err(AttemptError::Refused(Refusal::CampaignNotFound));
            }
            Err(error) => return Box::pin(self.save_pending(campaign, Some(lease), command, Some(&error))).await,
        };
        let (previous, timing) = (Some(shown.state), self.gateway.timing());
        let apply = |campaign: &mut Campaign, changes: &mut Changes| {
            let newer = campaign.resume_since(known.as_ref());
            campaign.apply(command, Some(&shown), changes, &self.clock)?;
            let request = campaign.plan(&shown, &timing, changes, &self.clock);
            campaign.keep_resume(newer, &self.clock);
            // The new end of a pause is sent by the next attempt, after the answer to the command.
            if let Some(unsent) = request.as_ref().filter(|request| request.is_adjustment) {
                campaign.last_sent.settle(unsent.id);
            }
            let request = request.filter(|request| !request.is_adjustment);
            let report = if request.is_some() {
                campaign.due_at = Some(self.clock.now());
                self.pending_report(campaign, previous, command)
            } else {
                campaign.schedule(&timing, &self.clock);
                self.unchanged_report(campaign, previous, command, changes)
            };
            changes.command = Some((command.id, report.clone()));
            let then = if request.is_some() { Lease::Keep } else { Lease::Release };
            Ok((then, (request, report)))
        };
        let (request, report) = Box::pin(self.change(&mut campaign, Some(lease), apply)).await?;
        on_saved(&report, &campaign);
        let Some(request) = request else { return Ok(report) };
        let work = Work { id, lease, trace: &command.trace };
        let report = Box::pin(self.send_planned(&work, Planned { campaign, request, previous })).await?;
        self.with_entry(report, previous, command).await
    }

    /// Stores a command without asking CXone, because another replica has the campaign's lease. The next attempt on the
    /// campaign carries it out.
    ///
    /// # Errors
    /// Where the command is refused, or Postgres fails.
    pub async fn execute_later(&self, id: &CampaignId, command: &Command) -> Result<Report, AttemptError> {
        if let Some(report) = self.earlier_report(command).await? {
            return Ok(report);
        }
        let campaign = self.repository.load(id).await?;
        Box::pin(self.save_pending(campaign, None, command, None)).await
    }

    /// The report of an earlier run of the same command. A command is not executed twice.
    async fn earlier_report(&self, command: &Command) -> Result<Option<Report>, AttemptError> {
        if command.is_repeated { Ok(self.repository.command_report(command.id).await?) } else { Ok(None) }
    }

    /// Stores a command that CXone cannot be asked about now. `error` is what CXone answered, where it was asked.
    async fn save_pending(
        &self,
        mut campaign: Campaign,
        lease: Option<Uuid>,
        command: &Command,
        error: Option<&CxoneError>,
    ) -> Result<Report, AttemptError> {
        let timing = self.gateway.timing();
        let previous = campaign.state();
        let apply = |campaign: &mut Campaign, changes: &mut Changes| {
            campaign.apply(command, None, changes, &self.clock)?;
            campaign.advance(&timing, changes, &self.clock);
            (campaign.due_at, campaign.check_at) = (Some(self.clock.now()), Some(self.clock.now()));
            if let Some(error) = error {
                campaign.record_failure(error, &timing, &self.clock);
            }
            changes.entries.push(campaign.command_pending_entry(command, &self.clock));
            let report = self.pending_report(campaign, previous, command);
            changes.command = Some((command.id, report.clone()));
            // Without a lease of its own, this ends no other's.
            Ok((if lease.is_some() { Lease::Release } else { Lease::Keep }, report))
        };
        Box::pin(self.change(&mut campaign, lease, apply)).await
    }

    /// The report until CXone confirms the command. Its audit entry is written with the answer, where CXone has not
    /// confirmed the command by then.
    fn pending_report(&self, campaign: &Campaign, previous: Option<CampaignState>, command: &Command) -> Report {
        let report = campaign.report(previous, Status::Pending, self.clock.now());
        Report { audit_id: Some(command.id), ..report }
    }

    fn unchanged_report(
        &self,
        campaign: &Campaign,
        previous: Option<CampaignState>,
        command: &Command,
        changes: &mut Changes,
    ) -> Report {
        let entry = campaign.command_unchanged_entry(command, &self.clock);
        let report = campaign.report(previous, Status::Unchanged, self.clock.now());
        let audit_id = Some(entry.id);
        changes.entries.push(entry);
        Report { audit_id, ..report }
    }

    /// Every command has an audit entry, also one that ended without a change of its own.
    async fn with_entry(
        &self,
        report: Report,
        previous: Option<CampaignState>,
        command: &Command,
    ) -> Result<Report, AttemptError> {
        if report.audit_id.is_some() {
            return Ok(Report { previous, ..report });
        }
        let mut campaign = self.repository.load(&report.campaign_id).await?;
        let record = |campaign: &mut Campaign, changes: &mut Changes| {
            let entry = match report.status {
                Status::Pending => campaign.command_pending_entry(command, &self.clock),
                _ => campaign.command_unchanged_entry(command, &self.clock),
            };
            let audit_id = entry.id;
            changes.entries.push(entry);
            Ok((Lease::Keep, audit_id))
        };
        let audit_id = Some(Box::pin(self.change(&mut campaign, None, record)).await?);
        Ok(Report { previous, audit_id, ..report })
    }
}
