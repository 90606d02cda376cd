//! The states of campaigns in CXone, for clients that read them. Concurrent requests share a read, whose answer is cached for
//! some seconds.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;
use tracing::Instrument as _;

use crate::clock::Clock;
use crate::cxone::{CampaignState, Class, Cxone, CxoneError, RequestContext};
use crate::trace::Traceparent;
use crate::types::CampaignId;

/// How long a state is cached, and also the answer that CXone does not know the campaign.
const FRESH_FOR: SignedDuration = SignedDuration::from_secs(5);
/// The most campaigns in the cache.
const MAX_CAMPAIGNS: usize = 1000;

/// A state of a campaign in CXone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LiveState {
    pub state: CampaignState,
    /// When it was requested from CXone.
    pub at: Timestamp,
}

/// The result of a read.
#[derive(Clone)]
struct Answer {
    state: Result<LiveState, CxoneError>,
    fresh_until: Timestamp,
}

/// Empty until the read has finished.
type PendingAnswer = watch::Receiver<Option<Answer>>;

/// The cache of this replica.
#[derive(Clone)]
pub struct LiveStates {
    cxone: Arc<Cxone>,
    reads: Reads,
}

impl LiveStates {
    /// An empty cache of the states in this CXone.
    pub fn new(cxone: Arc<Cxone>, clock: Clock) -> Self {
        Self { cxone, reads: Reads::new(clock) }
    }

    /// The campaign's state, at most some seconds old. The read belongs to the class of client reads in CXone's quota. A read
    /// that takes longer than `within` continues, and answers the next request.
    ///
    /// # Errors
    /// CXone's error, or `Unavailable` if it has not answered within that time.
    pub async fn get(&self, id: &CampaignId, trace: &Traceparent, within: Duration) -> Result<LiveState, CxoneError> {
        let (cxone, campaign, trace) = (Arc::clone(&self.cxone), id.clone(), trace.clone());
        let read = async move {
            let context = RequestContext { class: Class::ClientRead, trace: &trace };
            cxone.read_campaign(&campaign, context).await.map(|campaign| campaign.state)
        };
        wait_for(self.reads.get(id, || read), within).await
    }
}

async fn wait_for(mut answer: PendingAnswer, within: Duration) -> Result<LiveState, CxoneError> {
    let answered = tokio::time::timeout(within, answer.wait_for(Option::is_some)).await;
    match answered.ok().and_then(Result::ok).and_then(|answer| answer.clone()) {
        Some(answer) => answer.state,
        None => {
            let reason = format!("no answer in {} ms", within.as_millis());
            Err(CxoneError::Unavailable { retry_after: None, reason })
        }
    }
}

/// Reads that are running, or whose answer is cached.
#[derive(Clone)]
struct Reads {
    clock: Clock,
    answers: Arc<Mutex<HashMap<CampaignId, PendingAnswer>>>,
}

impl Reads {
    fn new(clock: Clock) -> Self {
        Self { clock, answers: Arc::default() }
    }

    /// The answer of a read that is running or cached, or else of a new one.
    fn get<F>(&self, id: &CampaignId, read: impl FnOnce() -> F) -> PendingAnswer
    where
        F: Future<Output = Result<CampaignState, CxoneError>> + Send + 'static,
    {
        let now = self.clock.now();
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(answer) = answers.get(id).filter(|answer| is_running(answer) || is_fresh(answer, now)) {
            return answer.clone();
        }
        if answers.len() >= MAX_CAMPAIGNS {
            answers.retain(|_, answer| is_running(answer) || is_fresh(answer, now));
        }
        if answers.len() >= MAX_CAMPAIGNS {
            answers.retain(|_, answer| is_running(answer));
        }
        let answer = self.begin(read(), now);
        // If all of them are running, this one is not shared.
        if answers.len() < MAX_CAMPAIGNS {
            answers.insert(id.clone(), answer.clone());
        }
        answer
    }

    fn begin<F>(&self, read: F, at: Timestamp) -> PendingAnswer
    where
        F: Future<Output = Result<CampaignState, CxoneError>> + Send + 'static,
    {
        let (answered, answer) = watch::channel(None);
        let clock = self.clock.clone();
        let read = async move {
            let state = read.await.map(|state| LiveState { state, at });
            let is_kept = matches!(state, Ok(_) | Err(CxoneError::NotFound { .. }));
            let fresh_for = if is_kept { FRESH_FOR } else { SignedDuration::ZERO };
            answered.send_replace(Some(Answer { state, fresh_until: clock.now() + fresh_for }));
        };
        tokio::spawn(read.in_current_span());
        answer
    }
}

fn is_running(answer: &PendingAnswer) -> bool {
    answer.borrow().is_none() && answer.has_changed().is_ok()
}

fn is_fresh(answer: &PendingAnswer, now: Timestamp) -> bool {
    answer.borrow().as_ref().is_some_and(|answer| now < answer.fresh_until)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

    use super::*;

    const WITHIN: Duration = Duration::from_secs(30);

    /// A CXone that counts how often it is asked, and a clock that stands still.
    struct World {
        reads: Reads,
        now: Arc<AtomicI64>,
        asked: Arc<AtomicUsize>,
    }

    impl World {
        fn new() -> Self {
            let now = Arc::new(AtomicI64::new(1_800_000_000));
            let told = Arc::clone(&now);
            let clock = Clock::manual(move || Timestamp::from_second(told.load(Ordering::Relaxed)).unwrap(), 0);
            Self { reads: Reads::new(clock), now, asked: Arc::default() }
        }

        fn begin(&self, id: &str, state: Result<CampaignState, CxoneError>) -> PendingAnswer {
            let asked = Arc::clone(&self.asked);
            let read = async move {
                asked.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
                state
            };
            self.reads.get(&CampaignId::parse(id).unwrap(), || read)
        }

        /// What is shown of a campaign that is in this state now.
        async fn read(&self, id: &str, state: Result<CampaignState, CxoneError>) -> Result<CampaignState, CxoneError> {
            wait_for(self.begin(id, state), WITHIN).await.map(|live| live.state)
        }

        fn asked(&self) -> usize {
            self.asked.load(Ordering::Relaxed)
        }

        fn pass(&self, seconds: i64) {
            self.now.fetch_add(seconds, Ordering::Relaxed);
        }
    }

    fn not_found() -> Result<CampaignState, CxoneError> {
        Err(CxoneError::NotFound { reason: "no".into() })
    }

    fn down() -> Result<CampaignState, CxoneError> {
        Err(CxoneError::Unavailable { retry_after: None, reason: "down".into() })
    }

    #[tokio::test]
    async fn concurrent_requests_share_a_read_whatever_its_result() {
        for outcome in [Ok(CampaignState::Active), not_found(), down()] {
            let world = World::new();
            let reads = futures::future::join_all((0..50).map(|_| world.read("c", outcome.clone()))).await;
            assert!(reads.iter().all(|read| *read == outcome), "{reads:?}");
            assert_eq!(world.asked(), 1, "{outcome:?}");
        }
    }

    #[tokio::test]
    async fn a_state_is_shown_again_for_five_seconds_and_so_is_that_there_is_none() {
        for outcome in [Ok(CampaignState::Active), not_found()] {
            let world = World::new();
            assert_eq!(world.read("c", outcome.clone()).await, outcome);
            world.pass(4);
            assert_eq!(world.read("c", Ok(CampaignState::Paused)).await, outcome);
            assert_eq!(world.read("another", Ok(CampaignState::Inactive)).await, Ok(CampaignState::Inactive));
            world.pass(1);
            assert_eq!(world.read("c", Ok(CampaignState::Paused)).await, Ok(CampaignState::Paused));
        }
    }

    #[tokio::test]
    async fn a_failure_is_not_kept() {
        let world = World::new();
        assert_eq!(world.read("c", down()).await, down());
        assert_eq!(world.read("c", Ok(CampaignState::Active)).await, Ok(CampaignState::Active));
    }

    #[tokio::test]
    async fn a_read_goes_on_where_nobody_waits_for_it_and_serves_the_next() {
        let world = World::new();
        let (answer, answered) = tokio::sync::oneshot::channel();
        let read = || async { answered.await.unwrap() };
        let given_up = wait_for(world.reads.get(&CampaignId::parse("c").unwrap(), read), Duration::ZERO).await;
        assert!(matches!(given_up, Err(CxoneError::Unavailable { .. })), "{given_up:?}");
        answer.send(Ok(CampaignState::Active)).unwrap();
        assert_eq!(world.read("c", Ok(CampaignState::Paused)).await, Ok(CampaignState::Active));
        assert_eq!(world.asked(), 0);
    }

    #[tokio::test]
    async fn a_read_that_broke_off_is_begun_again() {
        let world = World::new();
        let broken = world.reads.get(&CampaignId::parse("c").unwrap(), || async { panic!("the read breaks off") });
        assert!(wait_for(broken, WITHIN).await.is_err());
        assert_eq!(world.read("c", Ok(CampaignState::Active)).await, Ok(CampaignState::Active));
    }

    #[tokio::test]
    async fn no_more_campaigns_are_remembered_than_a_thousand() {
        let world = World::new();
        for n in 0..2 * MAX_CAMPAIGNS {
            world.read(&format!("c-{n}"), Ok(CampaignState::Active)).await.unwrap();
        }
        let running: Vec<_> =
            (0..2 * MAX_CAMPAIGNS).map(|n| world.begin(&format!("d-{n}"), Ok(CampaignState::Active))).collect();
        assert!(world.reads.answers.lock().unwrap().len() <= MAX_CAMPAIGNS);
        for answer in running {
            assert!(wait_for(answer, WITHIN).await.is_ok());
        }
    }
}
