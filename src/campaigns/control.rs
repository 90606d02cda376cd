//! Brings CXone to what the holds say: for a command, at a hold's end, after a restart, and when somebody outside has
//! changed the campaign. Always the same way: read, decide, keep what was decided, tell CXone, keep what it answered.
//!
//! Nothing here knows Postgres or HTTP: the tests drive the same code through every interleaving that they can think of.

use std::future::Future;
use std::time::Duration;

use uuid::Uuid;

use super::campaign::{Campaign, Changes, Move};
use super::command::{Command, Order, Refusal};
use crate::audit::{Entry, Outcome};
use crate::clock::Clock;
use crate::cxone::{CampaignState, CxoneError, DialerCampaign};
use crate::trace::Traceparent;
use crate::types::CampaignId;

/// Somebody changed the campaign between the read and the write: so often it is read again at once …
const CONFLICTS_AT_ONCE: u32 = 5;
/// … after a wait of up to this, doubled each time.
const CONFLICT_WAIT: Duration = Duration::from_millis(100);

/// Where campaigns are kept.
pub trait Book: Send + Sync {
    /// The campaign as it is kept; one that is not kept has nothing.
    fn load(&self, id: &CampaignId) -> impl Future<Output = Result<Campaign, sqlx::Error>> + Send;

    /// Keeps the campaign and its changes together, where it is still at its revision; and with `lease`, where that
    /// still holds. The lease is given back with `release`.
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
}

/// Whether anything hangs on a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Urgency {
    /// A campaign is to be paused or started.
    Due,
    /// Only a look.
    Routine,
}

/// CXone, as far as campaigns go.
pub trait Dialer: Send + Sync {
    /// The campaign as it is now; given up after `within`. A look at which nothing is due yields to what is.
    fn read(
        &self,
        id: &CampaignId,
        within: Option<Duration>,
        urgency: Urgency,
        trace: &Traceparent,
    ) -> impl Future<Output = Result<DialerCampaign, CxoneError>> + Send;

    /// Makes the campaign so.
    fn write(
        &self,
        id: &CampaignId,
        wanted: &DialerCampaign,
        trace: &Traceparent,
    ) -> impl Future<Output = Result<DialerCampaign, CxoneError>> + Send;

    /// Lets time pass.
    fn rest(&self, wait: Duration) -> impl Future<Output = ()> + Send;
}

/// How a campaign stands after it was worked on.
#[derive(Clone, Debug)]
pub struct Report {
    pub campaign: Campaign,
    /// What CXone showed before; none where it did not answer.
    pub previous: Option<CampaignState>,
    pub ending: Ending,
    /// The entry of a command.
    pub audit_id: Option<Uuid>,
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// CXone has confirmed a change.
    Applied,
    /// CXone was as it should be.
    Unchanged,
    /// CXone has not confirmed it; it is tried again.
    Pending,
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
    /// Postgres is away, or refused.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// Works on campaigns, one at a time for each.
pub struct Control<B, D> {
    pub book: B,
    pub dialer: D,
    pub clock: Clock,
    /// A held campaign is looked at so often, whether anything is due or not.
    pub check_every: Duration,
}

/// A command on its way, and what is to be known of it.
pub struct Commanded<'a> {
    pub order: &'a Order,
    /// For CXone to be read.
    pub patience: Duration,
    /// Is told as soon as the command is kept.
    pub kept: &'a (dyn Fn(&Campaign, Option<CampaignState>) + Send + Sync),
}

impl<B: Book, D: Dialer> Control<B, D> {
    /// Carries out a command under a lease, as far as CXone can be brought now.
    ///
    /// # Errors
    /// Where it is refused, or stops half-way: what was kept is taken up again.
    pub async fn command(&self, id: &CampaignId, lease: Uuid, commanded: &Commanded<'_>) -> Result<Report, Halt> {
        let order = commanded.order;
        let mut campaign = self.book.load(id).await?;
        // What is refused whatever CXone shows costs no request.
        campaign.clone().obey(order, None, &mut Changes::default(), &self.clock).map_err(Halt::Refused)?;
        let shown = match self.dialer.read(id, Some(commanded.patience), Urgency::Due, &order.trace).await {
            Ok(shown) => shown,
            Err(CxoneError::NotFound { .. }) => return Err(Halt::Refused(Refusal::Unknown)),
            Err(error) => return self.keep_for_later(campaign, Some(lease), order, Some(&error)).await,
        };
        let previous = Some(shown.state);
        let decide = |campaign: &mut Campaign, changes: &mut Changes| {
            campaign.obey(order, Some(&shown), changes, &self.clock)?;
            let next = campaign.plan(&shown, changes, &self.clock);
            campaign.due_at = Some(self.clock.now());
            let Move::Tell(change) = next else {
                // A pause whose end has moved is told so after the answer.
                if next == Move::Rest {
                    campaign.look_again(self.check_every, &self.clock);
                }
                let entry = campaign.order_entry(order, "unchanged", Outcome::Unchanged, &self.clock);
                let audit_id = entry.id;
                changes.entries.push(entry);
                return Ok((Lease::GiveBack, Err(audit_id)));
            };
            Ok((Lease::Keep, Ok(change)))
        };
        let decided = self.change(&mut campaign, Some(lease), decide).await?;
        (commanded.kept)(&campaign, previous);
        match decided {
            Ok(change) => self.tell(campaign, lease, &change, previous, order).await,
            Err(entry) => Ok(Report { campaign, previous, ending: Ending::Unchanged, audit_id: Some(entry) }),
        }
    }

    /// Keeps a command without asking CXone: another replica has the campaign, or CXone does not answer. Whoever works
    /// on the campaign next carries it out.
    ///
    /// # Errors
    /// Where it is refused, or Postgres is away.
    pub async fn command_later(&self, id: &CampaignId, order: &Order) -> Result<Report, Halt> {
        let campaign = self.book.load(id).await?;
        self.keep_for_later(campaign, None, order, None).await
    }

    async fn keep_for_later(
        &self,
        mut campaign: Campaign,
        lease: Option<Uuid>,
        order: &Order,
        error: Option<&CxoneError>,
    ) -> Result<Report, Halt> {
        let keep = |campaign: &mut Campaign, changes: &mut Changes| {
            campaign.obey(order, None, changes, &self.clock)?;
            campaign.keep_window(changes, &self.clock);
            campaign.due_at = Some(self.clock.now());
            if let Some(error) = error {
                campaign.failed(error, &self.clock);
            }
            let entry = campaign.order_entry(order, "pending", Outcome::Pending, &self.clock);
            let audit_id = entry.id;
            changes.entries.push(entry);
            // Without a lease, whoever holds it goes on.
            Ok((if lease.is_some() { Lease::GiveBack } else { Lease::Keep }, audit_id))
        };
        let audit_id = self.change(&mut campaign, lease, keep).await?;
        let previous = campaign.seen.map(|(state, _)| state);
        Ok(Report { campaign, previous, ending: Ending::Pending, audit_id: Some(audit_id) })
    }

    /// Looks at a campaign under a lease, and brings CXone to what its holds say.
    ///
    /// # Errors
    /// Where it stops half-way; it is taken up again.
    pub async fn converge(&self, id: &CampaignId, lease: Uuid, trace: &Traceparent) -> Result<Report, Halt> {
        let mut conflicts = 0;
        loop {
            let mut campaign = self.book.load(id).await?;
            let is_due = conflicts > 0 || campaign.is_due(self.clock.now());
            let urgency = if is_due { Urgency::Due } else { Urgency::Routine };
            let shown = match self.dialer.read(id, None, urgency, trace).await {
                Ok(shown) => shown,
                Err(CxoneError::NotFound { .. }) => {
                    let forget = |campaign: &mut Campaign, changes: &mut Changes| {
                        campaign.unknown_to_cxone(changes, &self.clock);
                        Ok((Lease::GiveBack, ()))
                    };
                    self.change(&mut campaign, Some(lease), forget).await?;
                    return Ok(Report { campaign, previous: None, ending: Ending::Unchanged, audit_id: None });
                }
                Err(error) => return self.failed(campaign, lease, &error).await,
            };
            let decide = |campaign: &mut Campaign, changes: &mut Changes| {
                let next = campaign.plan(&shown, changes, &self.clock);
                campaign.due_at = Some(self.clock.now());
                Ok(match next {
                    Move::Tell(change) | Move::Refresh(change) => (Lease::Keep, Some(change)),
                    Move::Rest => {
                        campaign.look_again(self.check_every, &self.clock);
                        (Lease::GiveBack, None)
                    }
                })
            };
            let previous = Some(shown.state);
            let change = self.change(&mut campaign, Some(lease), decide).await?;
            let Some(change) = change else {
                return Ok(Report { campaign, previous, ending: Ending::Unchanged, audit_id: None });
            };
            if !campaign.still_wants(&change, self.clock.now()) {
                continue;
            }
            match self.dialer.write(id, &change, trace).await {
                Ok(_) => return self.confirmed(campaign, lease, &change, previous).await,
                Err(CxoneError::Conflict { .. }) if conflicts < CONFLICTS_AT_ONCE => {
                    self.after_conflict(conflicts).await;
                    conflicts += 1;
                }
                Err(error) => return self.failed(campaign, lease, &error).await,
            }
        }
    }

    /// Tells CXone what a command comes to.
    async fn tell(
        &self,
        mut campaign: Campaign,
        lease: Uuid,
        change: &DialerCampaign,
        previous: Option<CampaignState>,
        order: &Order,
    ) -> Result<Report, Halt> {
        let told = if campaign.still_wants(change, self.clock.now()) {
            self.dialer.write(&campaign.id, change, &order.trace).await
        } else {
            Err(CxoneError::Conflict { reason: "the window has closed meanwhile".into() })
        };
        let report = match told {
            Ok(_) => return self.confirmed(campaign, lease, change, previous).await,
            Err(CxoneError::Conflict { .. }) => {
                self.after_conflict(0).await;
                self.converge(&campaign.id, lease, &order.trace).await?
            }
            Err(error @ CxoneError::Rejected { .. }) if let Command::Pause(hold) = &order.command => {
                let withdraw = |campaign: &mut Campaign, changes: &mut Changes| {
                    campaign.withdrawn(hold.id, (&order.by, order.request_id.as_deref()), changes, &self.clock);
                    campaign.look_again(self.check_every, &self.clock);
                    Ok((Lease::Keep, ()))
                };
                self.change(&mut campaign, Some(lease), withdraw).await?;
                return Err(Halt::Refused(Refusal::Rejected(error)));
            }
            Err(error) => self.failed(campaign, lease, &error).await?,
        };
        self.noted(report, previous, order).await
    }

    /// Every command has an entry, also one that ended otherwise than with its own change.
    async fn noted(&self, mut report: Report, previous: Option<CampaignState>, order: &Order) -> Result<Report, Halt> {
        report.previous = previous;
        if report.audit_id.is_some() {
            return Ok(report);
        }
        let (ending, outcome) = match report.ending {
            Ending::Pending => ("pending", Outcome::Pending),
            Ending::Applied | Ending::Unchanged => ("unchanged", Outcome::Unchanged),
        };
        let note = |campaign: &mut Campaign, changes: &mut Changes| {
            let entry = campaign.order_entry(order, ending, outcome, &self.clock);
            let audit_id = entry.id;
            changes.entries.push(entry);
            Ok((Lease::Keep, audit_id))
        };
        report.audit_id = Some(self.change(&mut report.campaign, None, note).await?);
        Ok(report)
    }

    async fn after_conflict(&self, conflicts: u32) {
        let longest = CONFLICT_WAIT * 2_u32.pow(conflicts.min(8));
        self.dialer.rest(self.clock.between(longest / 4, longest)).await;
    }

    async fn confirmed(
        &self,
        mut campaign: Campaign,
        lease: Uuid,
        change: &DialerCampaign,
        previous: Option<CampaignState>,
    ) -> Result<Report, Halt> {
        let confirm = |campaign: &mut Campaign, changes: &mut Changes| {
            campaign.confirmed(change, changes, &self.clock);
            campaign.look_again(self.check_every, &self.clock);
            let audit_id = changes.entries.iter().find(|entry| entry.action.starts_with("campaign."));
            Ok((Lease::GiveBack, audit_id.map(|entry| entry.id)))
        };
        let audit_id = self.change(&mut campaign, Some(lease), confirm).await?;
        Ok(Report { campaign, previous, ending: Ending::Applied, audit_id })
    }

    async fn failed(&self, mut campaign: Campaign, lease: Uuid, error: &CxoneError) -> Result<Report, Halt> {
        let previous = campaign.seen.map(|(state, _)| state);
        let fail = |campaign: &mut Campaign, changes: &mut Changes| {
            campaign.keep_window(changes, &self.clock);
            campaign.failed(error, &self.clock);
            Ok((Lease::GiveBack, ()))
        };
        self.change(&mut campaign, Some(lease), fail).await?;
        Ok(Report { campaign, previous, ending: Ending::Pending, audit_id: None })
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
            if self.book.save(&changed, changes, lease, then == Lease::GiveBack).await? {
                changed.revision += 1;
                *campaign = changed;
                return Ok(result);
            }
            *campaign = self.book.load(&campaign.id).await?;
            if lease.is_some() && campaign.leased_by != lease {
                return Err(Halt::LeaseLost);
            }
        }
    }
}

/// Whether the lease goes on after a change, or is given back with it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lease {
    Keep,
    GiveBack,
}
