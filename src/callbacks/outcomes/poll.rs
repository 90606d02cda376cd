//! One poll for all callbacks of the tenant: the calls that changed, and the callbacks of each skill that still wait.

use std::collections::HashSet;

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::matching::{MISSING_AFTER, outcome_of, settled};
use super::{OutcomePoller, PollError};
use crate::callbacks::model::{CallOutcome, CallStatus};
use crate::callbacks::store::OutcomePoll;
use crate::cxone::{Class, Outcomes, ReportedCall, RequestContext};
use crate::trace::{Span, Traceparent};

/// Renewed before each request. Longer than one request may take.
const LEASE: SignedDuration = SignedDuration::from_mins(2);
/// The pages of one poll. What is left is read with the next one.
const MAX_PAGES: usize = 10;
/// CXone answers for at most 30 days.
const LONGEST_AGO: SignedDuration = SignedDuration::from_hours(29 * 24);
/// A call may start this much before its time.
const EARLY: SignedDuration = SignedDuration::from_mins(1);
/// How long an agent may take to classify a call.
const CLASSIFIED_WITHIN: SignedDuration = SignedDuration::from_hours(24);
const DISPOSITIONS_LAST: SignedDuration = SignedDuration::from_hours(24);
/// A poll that fails is repeated this much later, at the latest.
const AFTER_FAILURE: SignedDuration = SignedDuration::from_secs(30);
/// The time in which a request without an answer may still create a contact.
const LATE_CREATES: SignedDuration = SignedDuration::from_hours(24);
/// A callback that CXone still lists is missing this long after its window.
const GIVEN_UP_AFTER: SignedDuration = SignedDuration::from_hours(7 * 24);

/// A poll of this replica, with what it sends requests with.
struct Running<'a> {
    outcomes: Outcomes<'a>,
    context: RequestContext<'a>,
    poll: OutcomePoll,
}

impl OutcomePoller {
    /// Polls if that is due, and no other replica does.
    pub(super) async fn poll_due(&self, outcomes: Outcomes<'_>) -> Result<(), PollError> {
        let (lease, now) = (self.clock.new_id(), self.clock.now());
        let Some(poll) = self.store.claim_outcome_poll(lease, now, now + LEASE).await? else { return Ok(()) };
        let span = Span::internal(None, "outcomes", Vec::new);
        let trace = span.traceparent().unwrap_or_else(|| Traceparent::root(self.clock.new_id()));
        let context = RequestContext { class: Class::Routine, trace: &trace };
        let mut running = Running { outcomes, context, poll };
        let polled = self.poll(&mut running).await;
        let every = SignedDuration::try_from(self.settings.poll_every).unwrap_or(LEASE);
        let next = self.clock.now() + if polled.is_ok() { every } else { every.min(AFTER_FAILURE) };
        self.store.save_outcome_poll(&running.poll, next).await?;
        polled
    }

    async fn poll(&self, running: &mut Running<'_>) -> Result<(), PollError> {
        let skills = self.open_skills(running).await?;
        let (mut looked_in, mut waiting) = (Vec::new(), HashSet::new());
        for skill in skills {
            self.renew(running).await?;
            if let Some(listed) = self.cleaned(running.outcomes, skill, running.context).await? {
                looked_in.push(skill);
                waiting.extend(listed);
            }
        }
        // After the lists: a callback that has left its list has its call among those that are read now, or has none.
        let is_up_to_date = self.read_calls(running).await?;
        if is_up_to_date { self.find_missing(&looked_in, &waiting).await } else { Ok(()) }
    }

    /// The skills with open outcomes, and those in which CXone may have a contact of a callback that expired.
    async fn open_skills(&self, running: &Running<'_>) -> Result<Vec<i64>, PollError> {
        let mut skills = HashSet::new();
        for campaign in self.store.campaigns_without_skill(self.clock.now() - LATE_CREATES).await? {
            match running.outcomes.skill_of(&campaign, running.context).await {
                Ok(skill) => {
                    self.store.set_skill(&campaign, skill).await?;
                    skills.insert(skill);
                }
                Err(error) => tracing::warn!(campaign.id = %campaign, error = %error, "the skill is not known"),
            }
        }
        skills.extend(self.store.open_skills().await?);
        Ok(skills.into_iter().collect())
    }

    /// Reads the calls that changed since the last poll. Returns whether all of them were read.
    async fn read_calls(&self, running: &mut Running<'_>) -> Result<bool, PollError> {
        let now = self.clock.now();
        let first = self.store.first_open_call(now - CLASSIFIED_WITHIN).await?;
        let Some(first) = first.filter(|first| *first - EARLY <= now) else { return Ok(true) };
        self.read_dispositions(running).await?;
        // Nothing before the first call that is open matters.
        let earliest = (first - EARLY).max(now - LONGEST_AGO);
        if running.poll.skip == 0 {
            let since = running.poll.updated_since.map_or(earliest, |since| since.max(earliest));
            running.poll.updated_since = Some(since);
        }
        for _ in 0..MAX_PAGES {
            self.renew(running).await?;
            let since = running.poll.updated_since.unwrap_or(earliest);
            let page = running.outcomes.completed_calls(since, running.poll.skip, running.context).await?;
            self.match_calls(&page.calls, running).await?;
            let poll = &mut running.poll;
            if poll.skip == 0 {
                poll.next_since = page.polled_at;
            }
            match page.next {
                Some(next) => poll.skip = next,
                None => {
                    poll.updated_since = poll.next_since.take().or(poll.updated_since);
                    poll.skip = 0;
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    async fn read_dispositions(&self, running: &mut Running<'_>) -> Result<(), PollError> {
        let now = self.clock.now();
        if running.poll.dispositions_read_at.is_some_and(|read_at| now < read_at + DISPOSITIONS_LAST) {
            return Ok(());
        }
        self.renew(running).await?;
        running.poll.dispositions = running.outcomes.dispositions(running.context).await?;
        running.poll.dispositions_read_at = Some(now);
        Ok(())
    }

    async fn match_calls(&self, calls: &[ReportedCall], running: &Running<'_>) -> Result<(), PollError> {
        let numbers: HashSet<String> = calls.iter().map(|call| format!("+{}", call.to_digits)).collect();
        let numbers: Vec<String> = numbers.into_iter().collect();
        if numbers.is_empty() {
            return Ok(());
        }
        let callbacks = self.store.callable(&numbers, self.clock.now() - LONGEST_AGO).await?;
        let outcome = |call: &ReportedCall| outcome_of(call, &running.poll.dispositions, &self.settings.reached);
        let found = settled(calls, &callbacks, outcome);
        self.settle(found.into_iter().map(|(callback, outcome)| (callback.clone(), outcome)).collect()).await?;
        Ok(())
    }

    /// The callbacks whose window ended long ago, which CXone does not list, and for which it has made no call.
    async fn find_missing(&self, skills: &[i64], waiting: &HashSet<Uuid>) -> Result<(), PollError> {
        let now = self.clock.now();
        let overdue = self.store.overdue(skills, now - MISSING_AFTER).await?;
        let is_gone = |id: Uuid, end: Timestamp| !waiting.contains(&id) || end + GIVEN_UP_AFTER < now;
        let missing = overdue.into_iter().filter(|callback| is_gone(callback.id, callback.window.end()));
        let outcome = CallOutcome { status: CallStatus::Missing, ..CallOutcome::PENDING };
        self.settle(missing.map(|callback| (callback, outcome.clone())).collect()).await?;
        Ok(())
    }

    async fn renew(&self, running: &Running<'_>) -> Result<(), PollError> {
        let is_ours = self.store.save_outcome_poll(&running.poll, self.clock.now() + LEASE).await?;
        if is_ours { Ok(()) } else { Err(PollError::LeaseLost) }
    }
}
