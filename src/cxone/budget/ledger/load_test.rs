//! The quota under load: a backlog, and clients that wait.

use super::*;

const MINUTE: i64 = 60_000;
const STEP: usize = 20;
/// The callbacks on which a replica works at the same time.
const SLOTS: usize = 32;

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(1_800_000_000_000 + ms).unwrap()
}

/// A job that sends two requests, one after the other.
struct Job {
    started: i64,
    sends: i64,
    ends: i64,
}

/// The jobs of a class, with a CXone that takes `latency` ms for each request.
struct Jobs {
    class: Class,
    latency: i64,
    running: Vec<Job>,
    /// When their requests were sent.
    sent: Vec<i64>,
}

impl Jobs {
    fn new(class: Class, latency: i64) -> Self {
        Self { class, latency, running: Vec::new(), sent: Vec::new() }
    }

    fn take(&mut self, ledger: &mut Ledger, endpoint: Endpoint, quota: u32, now: i64) -> bool {
        let is_granted = ledger.take(self.class, endpoint, 1, quota, at(now)) == Decision::Granted;
        self.sent.extend(is_granted.then_some(now));
        is_granted
    }

    /// The second requests that are due.
    fn go_on(&mut self, ledger: &mut Ledger, quota: u32, now: i64) {
        self.running.retain(|job| job.ends > now);
        for index in 0..self.running.len() {
            if self.running[index].sends <= now && self.take(ledger, Endpoint::Messages, quota, now) {
                let job = &mut self.running[index];
                (job.sends, job.ends) = (i64::MAX, now + self.latency);
            }
        }
    }

    fn start(&mut self, ledger: &mut Ledger, quota: u32, now: i64) {
        if self.take(ledger, Endpoint::Contacts, quota, now) {
            self.running.push(Job { started: now, sends: now + self.latency, ends: i64::MAX });
        }
    }

    fn recent(&self, now: i64) -> u32 {
        u32::try_from(self.running.iter().filter(|job| now - job.started < PACE_MS).count()).unwrap()
    }

    /// In the mean, without the first minutes.
    fn sent_in_a_minute(&self) -> usize {
        self.sent.iter().filter(|sent| **sent >= 5 * MINUTE).count() / 15
    }
}

/// The requests a minute of a backlog, and of clients that send `posts` callbacks a minute and wait.
fn backlog_and_posts(quota: u32, latency: i64, posts: i64) -> (usize, usize) {
    let mut ledger = Ledger::default();
    let (mut backlog, mut waiting) = (Jobs::new(Class::Background, latency), Jobs::new(Class::Waiting, latency));
    let mut starves = false;
    for now in (0..20 * MINUTE).step_by(STEP) {
        backlog.go_on(&mut ledger, quota, now);
        waiting.go_on(&mut ledger, quota, now);
        let has_slot = |backlog: &Jobs, waiting: &Jobs| backlog.running.len() + waiting.running.len() < SLOTS;
        let before = now - i64::try_from(STEP).unwrap();
        let comes = now * posts / MINUTE > before * posts / MINUTE;
        if comes && !starves && has_slot(&backlog, &waiting) {
            waiting.start(&mut ledger, quota, now);
        }
        let running = u32::try_from(backlog.running.len() + waiting.running.len()).unwrap();
        let job = NewJob { requests: 2, running, recent: backlog.recent(now) };
        let may_start = ledger.may_start(&[Endpoint::Contacts], job, quota, at(now)) == Decision::Granted;
        if has_slot(&backlog, &waiting) && may_start {
            backlog.start(&mut ledger, quota, now);
        }
        // A replica looks when it sends, and once in a second.
        if now % 1_000 == 0 || backlog.sent.last() == Some(&now) || waiting.sent.last() == Some(&now) {
            starves = ledger.starves_background(starves, quota, at(now));
        }
    }
    (backlog.sent_in_a_minute(), waiting.sent_in_a_minute())
}

#[test]
fn a_backlog_uses_the_quota_also_where_cxone_is_slow() {
    for (quota, latency, least) in [(100, 20, 85), (100, 2_000, 85), (100, 10_000, 75), (1_000, 1_000, 850)] {
        let (sent, _) = backlog_and_posts(quota, latency, 0);
        assert!(sent >= least, "quota {quota}, {latency} ms: {sent} requests a minute");
    }
}

#[test]
fn waiting_clients_leave_the_background_its_share_of_a_quota_that_is_used_up() {
    for (quota, latency, posts) in
        [(100, 20, 60), (100, 20, 600), (100, 1_000, 120), (100, 4_000, 120), (1_000, 1_000, 1_200)]
    {
        let (of_backlog, of_waiting) = backlog_and_posts(quota, latency, posts);
        let quota = usize::try_from(quota).unwrap();
        let sent = format!("quota {quota}, {latency} ms, {posts} POSTs: {of_backlog} and {of_waiting}");
        assert!(of_backlog >= quota * 18 / 100 && of_waiting >= quota * 40 / 100, "{sent}");
    }
}
