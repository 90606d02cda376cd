//! Brings CXone to what the holds say: for a command, at a hold's end, after a restart, and when somebody outside has
//! changed the campaign. Always the same way: read, decide, keep what was decided, send it to CXone, keep what it answered.
//!
//! Nothing here knows Postgres or HTTP: the tests drive the same code through every interleaving that they can think of.
//! The futures are boxed, because nested they would take more of a thread's stack than it has.

use std::future::Future;
use std::time::Duration;

use uuid::Uuid;

use crate::audit::Entry;
use crate::campaigns::model::{Campaign, Changes, Pace};
use crate::campaigns::model::{Ending, Order, Refusal};
use crate::campaigns::model::{NotDone, Request};
use crate::campaigns::model::{Report, Status};
use crate::clock::Clock;
use crate::cxone::{CampaignState, CxoneError, DialerCampaign};
use crate::trace::Traceparent;
use crate::types::CampaignId;

/// What CXone refused, or did not do, is read and sent again at once so often …
const TRIES_AT_ONCE: u32 = 5;
/// … once where an attempt has failed before: what fails for long must not use up the quota …
const TRIES_AFTER_FAILURE: u32 = 1;
/// … after a wait of up to this, doubled each time.
const FIRST_WAIT: Duration = Duration::from_millis(100);
/// A look that finds nothing to do is not repeated sooner.
const SOONEST: Duration = Duration::from_millis(50);

/// Where campaigns are kept.
pub trait Book: Send + Sync {
    /// The campaign as it is kept; one that is not kept has nothing. A lease that has run out is not shown.
    fn load(&self, id: &CampaignId) -> impl Future<Output = Result<Campaign, sqlx::Error>> + Send;

    /// Keeps the campaign and its changes together, where it is still at its revision; with `lease`, where that still
    /// holds; and with a command, where that was not carried out before. The lease is given back with `release`.
    fn save(
        &self,
        campaign: &Campaign,
        changes: Changes,
        lease: Option<Uuid>,
        release: bool,
    ) -> impl Future<Output = Result<bool, sqlx::Error>> + Send;

    /// Gives the lease back, perhaps with an entry that says why nothing else is kept.
    fn release(
        &self,
        id: &CampaignId,
        lease: Uuid,
        entry: Option<Entry>,
    ) -> impl Future<Output = Result<(), sqlx::Error>> + Send;

    /// What a command was answered with, where it was carried out before.
    fn report_of(&self, command: Uuid) -> impl Future<Output = Result<Option<Report>, sqlx::Error>> + Send;
}

/// Whether anything hangs on a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Urgency {
    /// A campaign is to be paused or started.
    Due,
    /// Only a check.
    Routine,
}

/// Says, just before a request goes out, whether it still should.
pub trait Check: Send + Sync {
    fn is_right(&self) -> impl Future<Output = bool> + Send;
}

/// CXone, as far as campaigns go.
pub trait Dialer: Send + Sync {
    /// The campaign as it is now; given up after `within`. A check yields to what is due.
    fn read(
        &self,
        id: &CampaignId,
        within: Option<Duration>,
        urgency: Urgency,
        trace: &Traceparent,
    ) -> impl Future<Output = Result<DialerCampaign, CxoneError>> + Send;

    /// Makes the campaign so, if `check` still finds it right when the request is about to go out.
    fn write(
        &self,
        id: &CampaignId,
        wanted: &DialerCampaign,
        check: &impl Check,
        trace: &Traceparent,
    ) -> impl Future<Output = Result<DialerCampaign, CxoneError>> + Send;

    /// Lets time pass.
    fn rest(&self, wait: Duration) -> impl Future<Output = ()> + Send;

    /// How CXone is to be spoken to now.
    fn pace(&self) -> Pace;
}

/// Why it stopped.
#[derive(Debug, thiserror::Error)]
pub enum Halt {
    /// The command may not be obeyed.
    #[error("the command is refused")]
    Refused(Refusal),
    /// Another replica has the campaign now.
    #[error("the lease is lost")]
    LeaseLost,
    /// Another run of the same command has been carried out meanwhile, and was answered with this.
    #[error("the command is carried out already")]
    Repeated(Box<Report>),
    /// Postgres is away, or refused.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// Works on campaigns, one at a time for each.
pub struct Control<B, D> {
    pub book: B,
    pub dialer: D,
    pub clock: Clock,
}

/// A command on its way, and what is to be known of it.
pub struct Commanded<'a> {
    pub order: &'a Order,
    /// For CXone to be read.
    pub patience: Duration,
    /// Is told as soon as the command is kept.
    pub kept: &'a (dyn Fn(&Report, &Campaign) + Send + Sync),
}

/// Work on one campaign under a lease.
struct Work<'a> {
    id: &'a CampaignId,
    lease: Uuid,
    trace: &'a Traceparent,
}

/// A request that was decided on, with the campaign as it is kept now.
struct Decided {
    campaign: Campaign,
    request: Request,
    previous: Option<CampaignState>,
}

/// What an attempt has come to.
enum Attempt {
    Ended(Report),
    /// To be read and decided on again, for this request was not carried out.
    Again(Option<(Uuid, NotDone)>),
}

impl<B: Book, D: Dialer> Control<B, D> {
    /// Carries out a command under a lease, as far as CXone can be brought now.
    ///
    /// # Errors
    /// Where it is refused, or stops half-way: what was kept is taken up again.
    pub async fn command(&self, id: &CampaignId, lease: Uuid, commanded: &Commanded<'_>) -> Result<Report, Halt> {
        let order = commanded.order;
        if let Some(report) = self.earlier(order).await? {
            self.book.release(id, lease, None).await?;
            return Ok(report);
        }
        let mut campaign = self.book.load(id).await?;
        // What is refused whatever CXone shows costs no request.
        campaign.clone().obey(order, None, &mut Changes::default(), &self.clock).map_err(Halt::Refused)?;
        let shown = match self.dialer.read(id, Some(commanded.patience), Urgency::Due, &order.trace).await {
            Ok(shown) => shown,
            Err(CxoneError::NotFound { .. }) if !campaign.is_known() => return Err(Halt::Refused(Refusal::Unknown)),
            Err(error) => return Box::pin(self.keep_for_later(campaign, Some(lease), order, Some(&error))).await,
        };
        let (previous, pace) = (Some(shown.state), self.dialer.pace());
        let decide = |campaign: &mut Campaign, changes: &mut Changes| {
            campaign.obey(order, Some(&shown), changes, &self.clock)?;
            let request = campaign.plan(&shown, &pace, changes, &self.clock);
            let request = request.filter(|request| !request.is_adjustment);
            let now = self.clock.now();
            if request.is_some() {
                campaign.due_at = Some(now);
                // It is written with the answer, where CXone has not confirmed it by then.
                let report = Report { audit_id: Some(order.id), ..pending(campaign, previous, &self.clock) };
                changes.command = Some((order.id, report.clone()));
                return Ok((Lease::Keep, (request, report)));
            }
            // The new end of a pause is sent after the answer.
            campaign.schedule(&pace, &self.clock);
            let entry = campaign.order_entry(order, Ending::Unchanged, &self.clock);
            let report = Report::of(campaign, previous, Status::Unchanged, now);
            let report = Report { audit_id: Some(entry.id), ..report };
            changes.entries.push(entry);
            changes.command = Some((order.id, report.clone()));
            Ok((Lease::GiveBack, (None, report)))
        };
        let (request, report) = Box::pin(self.change(&mut campaign, Some(lease), decide)).await?;
        (commanded.kept)(&report, &campaign);
        let Some(request) = request else { return Ok(report) };
        let work = Work { id, lease, trace: &order.trace };
        let report = Box::pin(self.bring_about(&work, Some(Decided { campaign, request, previous }))).await?;
        self.noted(report, previous, order).await
    }

    /// Keeps a command without asking CXone: another replica has the campaign, or CXone does not answer. Whoever works
    /// on the campaign next carries it out.
    ///
    /// # Errors
    /// Where it is refused, or Postgres is away.
    pub async fn command_later(&self, id: &CampaignId, order: &Order) -> Result<Report, Halt> {
        if let Some(report) = self.earlier(order).await? {
            return Ok(report);
        }
        let campaign = self.book.load(id).await?;
        Box::pin(self.keep_for_later(campaign, None, order, None)).await
    }

    /// What the same command was answered with before. It is not carried out twice.
    async fn earlier(&self, order: &Order) -> Result<Option<Report>, Halt> {
        if order.is_repeated { Ok(self.book.report_of(order.id).await?) } else { Ok(None) }
    }

    async fn keep_for_later(
        &self,
        mut campaign: Campaign,
        lease: Option<Uuid>,
        order: &Order,
        error: Option<&CxoneError>,
    ) -> Result<Report, Halt> {
        let pace = self.dialer.pace();
        let previous = campaign.seen.map(|(state, _)| state);
        let keep = |campaign: &mut Campaign, changes: &mut Changes| {
            campaign.obey(order, None, changes, &self.clock)?;
            campaign.tick(&pace, changes, &self.clock);
            (campaign.due_at, campaign.check_at) = (Some(self.clock.now()), Some(self.clock.now()));
            if let Some(error) = error {
                campaign.failed(error, &pace, &self.clock);
            }
            changes.entries.push(campaign.pending_entry(order, &self.clock));
            let report = Report { audit_id: Some(order.id), ..pending(campaign, previous, &self.clock) };
            changes.command = Some((order.id, report.clone()));
            // Without a lease, whoever holds it goes on.
            Ok((if lease.is_some() { Lease::GiveBack } else { Lease::Keep }, report))
        };
        Box::pin(self.change(&mut campaign, lease, keep)).await
    }

    /// Looks at a campaign under a lease, and brings CXone to what its holds say.
    ///
    /// # Errors
    /// Where it stops half-way; it is taken up again.
    pub async fn converge(&self, id: &CampaignId, lease: Uuid, trace: &Traceparent) -> Result<Report, Halt> {
        Box::pin(self.bring_about(&Work { id, lease, trace }, None)).await
    }

    async fn bring_about(&self, work: &Work<'_>, decided: Option<Decided>) -> Result<Report, Halt> {
        let mut attempt = match decided {
            Some(decided) => Box::pin(self.send(work, decided, 0)).await?,
            None => self.look(work).await?,
        };
        for tries in 1.. {
            let not_done = match attempt {
                Attempt::Ended(report) => return Ok(report),
                Attempt::Again(not_done) => not_done,
            };
            let longest = FIRST_WAIT * 2_u32.pow(tries.min(8) - 1);
            self.dialer.rest(self.clock.between(longest / 4, longest)).await;
            let campaign = self.book.load(work.id).await?;
            attempt = Box::pin(self.read_and_send(work, campaign, Urgency::Due, not_done, tries)).await?;
        }
        Err(Halt::LeaseLost)
    }

    /// Reads the campaign from CXone, unless nothing is due and it is no time to check it.
    async fn look(&self, work: &Work<'_>) -> Result<Attempt, Halt> {
        let mut campaign = self.book.load(work.id).await?;
        let (now, pace) = (self.clock.now(), self.dialer.pace());
        let is_check_due = campaign.check_at.is_some_and(|at| at <= now);
        if !campaign.is_due(now, &pace) && !is_check_due {
            let wait = |campaign: &mut Campaign, _: &mut Changes| {
                campaign.due_at = campaign.next_due(now, &pace).map(|at| at.max(now + SOONEST));
                Ok((Lease::GiveBack, ()))
            };
            Box::pin(self.change(&mut campaign, Some(work.lease), wait)).await?;
            let previous = campaign.seen.map(|(state, _)| state);
            return Ok(Attempt::Ended(Report::of(&campaign, previous, Status::Unchanged, now)));
        }
        let urgency = if campaign.is_urgent(now, &pace) { Urgency::Due } else { Urgency::Routine };
        Box::pin(self.read_and_send(work, campaign, urgency, None, 0)).await
    }

    async fn read_and_send(
        &self,
        work: &Work<'_>,
        mut campaign: Campaign,
        urgency: Urgency,
        not_done: Option<(Uuid, NotDone)>,
        tries: u32,
    ) -> Result<Attempt, Halt> {
        let shown = match self.dialer.read(work.id, None, urgency, work.trace).await {
            Ok(shown) => shown,
            // A check waits for its share of the quota. That is no failure.
            Err(CxoneError::OverBudget { retry_after }) if urgency == Urgency::Routine => {
                return Box::pin(self.put_off(work, campaign, retry_after)).await.map(Attempt::Ended);
            }
            Err(error) => return Box::pin(self.failed(work, campaign, not_done, &error)).await.map(Attempt::Ended),
        };
        let (previous, pace) = (Some(shown.state), self.dialer.pace());
        let decide = |campaign: &mut Campaign, changes: &mut Changes| {
            if let Some((request, why)) = &not_done {
                campaign.not_done(*request, why);
            }
            let resume = campaign.resume.clone();
            let request = campaign.plan(&shown, &pace, changes, &self.clock);
            campaign.record_resume_unchanged(resume, changes, &self.clock);
            let applied = changes.applied();
            if request.is_some() {
                campaign.due_at = Some(self.clock.now());
                return Ok((Lease::Keep, (request, applied)));
            }
            campaign.schedule(&pace, &self.clock);
            Ok((Lease::GiveBack, (None, applied)))
        };
        let (request, applied) = Box::pin(self.change(&mut campaign, Some(work.lease), decide)).await?;
        if let Some(request) = request {
            return Box::pin(self.send(work, Decided { campaign, request, previous }, tries)).await;
        }
        let status = if applied.is_some() { Status::Applied } else { Status::Unchanged };
        let report = Report::of(&campaign, previous, status, self.clock.now());
        Ok(Attempt::Ended(Report { audit_id: applied, ..report }))
    }

    async fn send(&self, work: &Work<'_>, decided: Decided, tries: u32) -> Result<Attempt, Halt> {
        let Decided { campaign, request, previous } = decided;
        let check = StillRight { control: self, work, request: &request };
        let error = match self.dialer.write(work.id, &request.wanted, &check, work.trace).await {
            Ok(answer) if answer.state == request.wanted.state => {
                return Box::pin(self.confirmed(work, campaign, &request, previous)).await.map(Attempt::Ended);
            }
            Ok(answer) => not_applied(&request, &answer),
            Err(error) => error,
        };
        let not_done = match &error {
            CxoneError::Rejected { .. } => Some(NotDone::Refused(error.clone())),
            error if may_have_been_done(error) => None,
            _ => Some(NotDone::Passing),
        };
        let is_again = match &error {
            CxoneError::Conflict { .. } | CxoneError::Rejected { .. } | CxoneError::Superseded => true,
            CxoneError::UnexpectedAnswer { .. } => tries == 0,
            _ => false,
        };
        let not_done = not_done.map(|why| (request.id, why));
        let most = if campaign.failures == 0 { TRIES_AT_ONCE } else { TRIES_AFTER_FAILURE };
        if is_again && tries < most {
            return Ok(Attempt::Again(not_done));
        }
        Box::pin(self.failed(work, campaign, not_done, &error)).await.map(Attempt::Ended)
    }

    /// Every command has an entry, also one that ended otherwise than with its own change.
    async fn noted(&self, report: Report, previous: Option<CampaignState>, order: &Order) -> Result<Report, Halt> {
        if report.audit_id.is_some() {
            return Ok(Report { previous, ..report });
        }
        let mut campaign = self.book.load(&report.campaign_id).await?;
        let note = |campaign: &mut Campaign, changes: &mut Changes| {
            let entry = match report.status {
                Status::Pending => campaign.pending_entry(order, &self.clock),
                _ => campaign.order_entry(order, Ending::Unchanged, &self.clock),
            };
            let audit_id = entry.id;
            changes.entries.push(entry);
            Ok((Lease::Keep, audit_id))
        };
        let audit_id = Some(Box::pin(self.change(&mut campaign, None, note)).await?);
        Ok(Report { previous, audit_id, ..report })
    }

    async fn confirmed(
        &self,
        work: &Work<'_>,
        mut campaign: Campaign,
        request: &Request,
        previous: Option<CampaignState>,
    ) -> Result<Report, Halt> {
        let pace = self.dialer.pace();
        let confirm = |campaign: &mut Campaign, changes: &mut Changes| {
            campaign.confirmed(request, changes, &self.clock);
            campaign.tick(&pace, changes, &self.clock);
            campaign.schedule(&pace, &self.clock);
            Ok((Lease::GiveBack, changes.applied()))
        };
        let audit_id = Box::pin(self.change(&mut campaign, Some(work.lease), confirm)).await?;
        let report = Report::of(&campaign, previous, Status::Applied, self.clock.now());
        Ok(Report { audit_id, ..report })
    }

    async fn failed(
        &self,
        work: &Work<'_>,
        mut campaign: Campaign,
        not_done: Option<(Uuid, NotDone)>,
        error: &CxoneError,
    ) -> Result<Report, Halt> {
        let pace = self.dialer.pace();
        let previous = campaign.seen.map(|(state, _)| state);
        let fail = |campaign: &mut Campaign, changes: &mut Changes| {
            if let Some((request, why)) = &not_done {
                campaign.not_done(*request, why);
            }
            campaign.tick(&pace, changes, &self.clock);
            campaign.failed(error, &pace, &self.clock);
            Ok((Lease::GiveBack, ()))
        };
        Box::pin(self.change(&mut campaign, Some(work.lease), fail)).await?;
        Ok(pending(&campaign, previous, &self.clock))
    }

    /// The check keeps its turn. What is due, and is only checked because it failed too often, comes again then.
    async fn put_off(&self, work: &Work<'_>, mut campaign: Campaign, retry_after: Duration) -> Result<Report, Halt> {
        let (now, pace) = (self.clock.now(), self.dialer.pace());
        if campaign.due_at.is_none_or(|at| now < at) {
            self.book.release(work.id, work.lease, None).await?;
        } else {
            let wait = |campaign: &mut Campaign, changes: &mut Changes| {
                campaign.tick(&pace, changes, &self.clock);
                campaign.due_at = Some(now + retry_after.max(SOONEST));
                Ok((Lease::GiveBack, ()))
            };
            Box::pin(self.change(&mut campaign, Some(work.lease), wait)).await?;
        }
        let previous = campaign.seen.map(|(state, _)| state);
        Ok(Report::of(&campaign, previous, Status::Unchanged, now))
    }

    /// Changes the campaign as it is kept: where somebody else has changed it meanwhile, what they made of it.
    async fn change<T: Send>(
        &self,
        campaign: &mut Campaign,
        lease: Option<Uuid>,
        apply: impl Fn(&mut Campaign, &mut Changes) -> Result<(Lease, T), Refusal> + Send,
    ) -> Result<T, Halt> {
        loop {
            let (mut changed, mut changes) = (campaign.clone(), Changes::default());
            let (then, result) = apply(&mut changed, &mut changes).map_err(Halt::Refused)?;
            let command = changes.command.as_ref().map(|(id, _)| *id);
            if self.book.save(&changed, changes, lease, then == Lease::GiveBack).await? {
                changed.revision += 1;
                *campaign = changed;
                return Ok(result);
            }
            if let Some(command) = command
                && let Some(report) = self.book.report_of(command).await?
            {
                return Err(Halt::Repeated(Box::new(report)));
            }
            *campaign = self.book.load(&campaign.id).await?;
            if lease.is_some() && campaign.leased_by != lease {
                return Err(Halt::LeaseLost);
            }
        }
    }
}

/// Asked after the wait for the quota and a token: the campaign may be another replica's by then, a hold may have been
/// placed or lifted, and the window may have closed.
struct StillRight<'a, B, D> {
    control: &'a Control<B, D>,
    work: &'a Work<'a>,
    request: &'a Request,
}

impl<B: Book, D: Dialer> Check for StillRight<'_, B, D> {
    async fn is_right(&self) -> bool {
        let Ok(campaign) = self.control.book.load(self.work.id).await else { return false };
        let now = self.control.clock.now();
        campaign.leased_by == Some(self.work.lease) && campaign.still_wants(self.request, now)
    }
}

fn not_applied(request: &Request, answer: &DialerCampaign) -> CxoneError {
    let (wanted, state) = (request.wanted.state.as_str(), answer.state.as_str());
    let reason = format!("it answered to {wanted} that the campaign is {state}");
    CxoneError::UnexpectedAnswer { reason }
}

fn may_have_been_done(error: &CxoneError) -> bool {
    matches!(
        error,
        CxoneError::OutcomeUnknown { .. } | CxoneError::UnexpectedAnswer { .. } | CxoneError::ServerError { .. }
    )
}

fn pending(campaign: &Campaign, previous: Option<CampaignState>, clock: &Clock) -> Report {
    Report::of(campaign, previous, Status::Pending, clock.now())
}

/// Whether the lease goes on after a change, or is given back with it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lease {
    Keep,
    GiveBack,
}
