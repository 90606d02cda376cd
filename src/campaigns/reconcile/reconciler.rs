//! Brings the state of a campaign in CXone to what its holds say: for a command, at a hold's end, after a restart, and
//! after a change outside Ringback. The steps are always the same: read, plan, save, send, save the answer.
//!
//! Nothing here knows Postgres or HTTP, so that the model test can run the same code through random interleavings. The
//! futures are boxed, because nested they would not fit on a thread's stack.

use std::time::Duration;

use uuid::Uuid;

use super::error::AttemptError;
use crate::backoff::Backoff;
use crate::campaigns::model::{Campaign, Changes, NotApplied, Refusal, Report, Request, Status};
use crate::campaigns::ports::{CampaignGateway, CampaignRepository, SendCheck, Urgency};
use crate::clock::Clock;
use crate::cxone::{CampaignState, CxoneError, DialerCampaign};
use crate::trace::Traceparent;
use crate::types::CampaignId;

/// The immediate retries of what CXone rejected or did not carry out …
const MAX_RETRIES: u32 = 5;
/// … where the attempt before has failed too, so that a lasting failure does not use up the quota.
const MAX_RETRIES_AFTER_FAILURE: u32 = 1;
/// The waits before each immediate retry.
const RETRY_BACKOFF: Backoff =
    Backoff::doubling(Duration::from_millis(100), Duration::from_millis(12_800)).jittered_from_quarter(Duration::ZERO);
/// The wait does not grow after this many retries.
const MAX_DOUBLINGS: u32 = 7;
/// The shortest wait before the next attempt, after one that had nothing to do.
const MIN_WAIT: Duration = Duration::from_millis(50);

/// Works on campaigns under their leases.
pub struct Reconciler<R, G> {
    pub repository: R,
    pub gateway: G,
    pub clock: Clock,
}

/// The lease under which a campaign is worked on.
pub(super) struct Work<'a> {
    pub id: &'a CampaignId,
    pub lease: Uuid,
    pub trace: &'a Traceparent,
}

/// A request that is planned and saved, with the campaign as it is stored.
pub(super) struct Planned {
    pub campaign: Campaign,
    pub request: Request,
    pub previous: Option<CampaignState>,
}

/// The id of a request that CXone has certainly not carried out, and why.
pub(super) type Unapplied = (Uuid, NotApplied);

/// The result of one round of read, plan and send.
enum Round {
    Finished(Report),
    /// Read and plan again; the request was not carried out, where one is given.
    Retry(Option<Unapplied>),
}

/// Whether a save ends the lease.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Lease {
    Keep,
    Release,
}

impl<R: CampaignRepository, G: CampaignGateway> Reconciler<R, G> {
    /// Brings CXone to what the campaign's holds say, under a lease.
    ///
    /// # Errors
    /// Where the attempt stops. What was saved is continued by the next attempt.
    pub async fn converge(&self, id: &CampaignId, lease: Uuid, trace: &Traceparent) -> Result<Report, AttemptError> {
        let work = Work { id, lease, trace };
        let round = self.check(&work).await?;
        Box::pin(self.finish(&work, round)).await
    }

    /// Sends a request that is planned and saved, and goes on as `converge` does.
    pub(super) async fn send_planned(&self, work: &Work<'_>, planned: Planned) -> Result<Report, AttemptError> {
        let round = Box::pin(self.send(work, planned, 0)).await?;
        Box::pin(self.finish(work, round)).await
    }

    async fn finish(&self, work: &Work<'_>, mut round: Round) -> Result<Report, AttemptError> {
        let mut retries = 0;
        loop {
            let unapplied = match round {
                Round::Finished(report) => return Ok(report),
                Round::Retry(unapplied) => unapplied,
            };
            self.gateway.sleep(RETRY_BACKOFF.wait(retries.min(MAX_DOUBLINGS) + 1, &self.clock)).await;
            retries += 1;
            let campaign = self.repository.load(work.id).await?;
            round = Box::pin(self.read_and_send(work, campaign, Urgency::Due, unapplied, retries)).await?;
        }
    }

    /// The first round: reads the campaign from CXone, unless neither work nor a check is due.
    async fn check(&self, work: &Work<'_>) -> Result<Round, AttemptError> {
        let mut campaign = self.repository.load(work.id).await?;
        let (now, timing) = (self.clock.now(), self.gateway.timing());
        let is_check_due = campaign.check_at.is_some_and(|at| at <= now);
        if !campaign.is_due(now, &timing) && !is_check_due {
            let reschedule = |campaign: &mut Campaign, _: &mut Changes| {
                campaign.due_at = campaign.next_due(now, &timing).map(|at| at.max(now + MIN_WAIT));
                Ok((Lease::Release, ()))
            };
            Box::pin(self.change(&mut campaign, Some(work.lease), reschedule)).await?;
            return Ok(Round::Finished(campaign.report(campaign.state(), Status::Unchanged, now)));
        }
        let urgency = if campaign.is_urgent(now, &timing) { Urgency::Due } else { Urgency::Routine };
        Box::pin(self.read_and_send(work, campaign, urgency, None, 0)).await
    }

    async fn read_and_send(
        &self,
        work: &Work<'_>,
        mut campaign: Campaign,
        urgency: Urgency,
        unapplied: Option<Unapplied>,
        retries: u32,
    ) -> Result<Round, AttemptError> {
        let known = campaign.resume.clone();
        let shown = match self.gateway.read(work.id, None, urgency, work.trace).await {
            Ok(shown) => shown,
            // A check waits for its share of the quota. That is no failure.
            Err(CxoneError::OverBudget { retry_after }) if urgency == Urgency::Routine => {
                return Box::pin(self.postpone(work, campaign, retry_after)).await.map(Round::Finished);
            }
            Err(error) => {
                return Box::pin(self.save_failure(work, campaign, unapplied, &error)).await.map(Round::Finished);
            }
        };
        let (previous, timing) = (Some(shown.state), self.gateway.timing());
        let plan = |campaign: &mut Campaign, changes: &mut Changes| {
            if let Some((request, reason)) = &unapplied {
                campaign.record_not_applied(*request, reason);
            }
            let resume = campaign.resume.clone();
            let newer = campaign.resume_since(known.as_ref());
            let request = campaign.plan(&shown, &timing, changes, &self.clock);
            campaign.keep_resume(newer, &self.clock);
            campaign.record_resume_unchanged(resume, changes, &self.clock);
            if request.is_some() {
                campaign.due_at = Some(self.clock.now());
                return Ok((Lease::Keep, (request, changes.applied)));
            }
            campaign.schedule(&timing, &self.clock);
            Ok((Lease::Release, (None, changes.applied)))
        };
        let (request, applied) = Box::pin(self.change(&mut campaign, Some(work.lease), plan)).await?;
        if let Some(request) = request {
            return Box::pin(self.send(work, Planned { campaign, request, previous }, retries)).await;
        }
        let status = if applied.is_some() { Status::Applied } else { Status::Unchanged };
        let report = campaign.report(previous, status, self.clock.now());
        Ok(Round::Finished(Report { audit_id: applied, ..report }))
    }

    async fn send(&self, work: &Work<'_>, planned: Planned, retries: u32) -> Result<Round, AttemptError> {
        let Planned { campaign, request, previous } = planned;
        let check = StillWanted { reconciler: self, work, request: &request };
        let error = match self.gateway.update(work.id, &request.target, &check, work.trace).await {
            Ok(answer) if answer.state == request.target.state => {
                let saved = self.save_confirmation(work, campaign, &request, previous);
                return Box::pin(saved).await.map(Round::Finished);
            }
            Ok(answer) => unexpected_state(&request, &answer),
            Err(error) => error,
        };
        let unapplied = not_applied(&error).map(|reason| (request.id, reason));
        let max_retries = if campaign.failures == 0 { MAX_RETRIES } else { MAX_RETRIES_AFTER_FAILURE };
        if retries < max_retries && is_retried_at_once(&error, retries) {
            return Ok(Round::Retry(unapplied));
        }
        Box::pin(self.save_failure(work, campaign, unapplied, &error)).await.map(Round::Finished)
    }

    async fn save_confirmation(
        &self,
        work: &Work<'_>,
        mut campaign: Campaign,
        request: &Request,
        previous: Option<CampaignState>,
    ) -> Result<Report, AttemptError> {
        let timing = self.gateway.timing();
        let confirm = |campaign: &mut Campaign, changes: &mut Changes| {
            campaign.confirm(request, changes, &self.clock);
            campaign.advance(&timing, changes, &self.clock);
            campaign.schedule(&timing, &self.clock);
            Ok((Lease::Release, changes.applied))
        };
        let audit_id = Box::pin(self.change(&mut campaign, Some(work.lease), confirm)).await?;
        let report = campaign.report(previous, Status::Applied, self.clock.now());
        Ok(Report { audit_id, ..report })
    }

    async fn save_failure(
        &self,
        work: &Work<'_>,
        mut campaign: Campaign,
        unapplied: Option<Unapplied>,
        error: &CxoneError,
    ) -> Result<Report, AttemptError> {
        let timing = self.gateway.timing();
        let previous = campaign.state();
        let fail = |campaign: &mut Campaign, changes: &mut Changes| {
            if let Some((request, reason)) = &unapplied {
                campaign.record_not_applied(*request, reason);
            }
            campaign.advance(&timing, changes, &self.clock);
            campaign.record_failure(error, &timing, &self.clock);
            Ok((Lease::Release, ()))
        };
        Box::pin(self.change(&mut campaign, Some(work.lease), fail)).await?;
        Ok(campaign.report(previous, Status::Pending, self.clock.now()))
    }

    /// Ends a check that has to wait for its share of the quota. A campaign that is due, and was only checked because it
    /// failed too often, is due again after `retry_after`.
    async fn postpone(
        &self,
        work: &Work<'_>,
        mut campaign: Campaign,
        retry_after: Duration,
    ) -> Result<Report, AttemptError> {
        let (now, timing) = (self.clock.now(), self.gateway.timing());
        let again = now + retry_after.max(MIN_WAIT);
        let is_due = campaign.due_at.is_some_and(|at| at <= now);
        let reschedule = |campaign: &mut Campaign, changes: &mut Changes| {
            if is_due {
                campaign.advance(&timing, changes, &self.clock);
                campaign.due_at = Some(again);
            }
            // The others have their turn first.
            campaign.check_at = campaign.check_at.map(|at| at.max(again));
            Ok((Lease::Release, ()))
        };
        Box::pin(self.change(&mut campaign, Some(work.lease), reschedule)).await?;
        Ok(campaign.report(campaign.state(), Status::Unchanged, now))
    }

    /// Applies a change to the campaign and saves it. Where the campaign has been changed meanwhile, the change is applied
    /// again to what is stored now.
    pub(super) async fn change<T: Send>(
        &self,
        campaign: &mut Campaign,
        lease: Option<Uuid>,
        apply: impl Fn(&mut Campaign, &mut Changes) -> Result<(Lease, T), Refusal> + Send,
    ) -> Result<T, AttemptError> {
        loop {
            let (mut changed, mut changes) = (campaign.clone(), Changes::default());
            let (then, result) = apply(&mut changed, &mut changes).map_err(AttemptError::Refused)?;
            let command = changes.command.as_ref().map(|(id, _)| *id);
            if self.repository.save(&changed, changes, lease, then == Lease::Release).await? {
                changed.revision += 1;
                *campaign = changed;
                return Ok(result);
            }
            if let Some(command) = command
                && let Some(report) = self.repository.command_report(command).await?
            {
                return Err(AttemptError::AlreadyExecuted(Box::new(report)));
            }
            *campaign = self.repository.load(&campaign.id).await?;
            if lease.is_some() && campaign.leased_by != lease {
                return Err(AttemptError::LeaseLost);
            }
        }
    }
}

/// Evaluated after the wait for the quota and a token. By then another replica may have the lease, a hold may have been
/// placed or lifted, and the window may have closed.
struct StillWanted<'a, R, G> {
    reconciler: &'a Reconciler<R, G>,
    work: &'a Work<'a>,
    request: &'a Request,
}

impl<R: CampaignRepository, G: CampaignGateway> SendCheck for StillWanted<'_, R, G> {
    async fn is_still_wanted(&self) -> bool {
        let Ok(campaign) = self.reconciler.repository.load(self.work.id).await else { return false };
        let now = self.reconciler.clock.now();
        campaign.leased_by == Some(self.work.lease) && campaign.still_wants(self.request, now)
    }
}

fn unexpected_state(request: &Request, answer: &DialerCampaign) -> CxoneError {
    let (wanted, state) = (request.target.state.as_str(), answer.state.as_str());
    CxoneError::UnexpectedAnswer { reason: format!("it answered to {wanted} that the campaign is {state}") }
}

/// Why CXone has certainly not carried out a request. `None` where it may have.
fn not_applied(error: &CxoneError) -> Option<NotApplied> {
    match error {
        CxoneError::OutcomeUnknown { .. } | CxoneError::UnexpectedAnswer { .. } | CxoneError::ServerError { .. } => {
            None
        }
        CxoneError::Rejected { .. } => Some(NotApplied::Rejected(error.clone())),
        _ => Some(NotApplied::Retryable),
    }
}

fn is_retried_at_once(error: &CxoneError, retries: u32) -> bool {
    match error {
        CxoneError::Conflict { .. } | CxoneError::Rejected { .. } | CxoneError::Superseded => true,
        CxoneError::UnexpectedAnswer { .. } => retries == 0,
        _ => false,
    }
}
