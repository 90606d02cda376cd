//! A large quota is taken in pieces: what this replica has taken of it, and not used yet. Pure.

use std::time::Instant;

use super::ledger::Class;
use super::ledger_store::GRANT_LASTS;

/// One piece for each class, so that classes that take turns do not throw away each other's.
#[derive(Default)]
pub struct Pieces([Option<Piece>; 5]);

#[derive(Clone, Copy)]
struct Piece {
    left: u32,
    taken_at: Instant,
}

impl Pieces {
    /// Uses one request of the class's piece, where it has one that is not too old.
    pub fn use_one(&mut self, class: Class, now: Instant) -> bool {
        let Some(piece) = &mut self.0[class as usize] else { return false };
        let is_good = piece.left > 0 && now.saturating_duration_since(piece.taken_at) < GRANT_LASTS;
        if is_good {
            piece.left -= 1;
        }
        is_good
    }

    /// Keeps what is left of a piece that was taken at a moment.
    pub fn keep(&mut self, class: Class, left: u32, taken_at: Instant) {
        self.0[class as usize] = Some(Piece { left, taken_at });
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::Timestamp;

    use super::super::endpoint::Endpoint;
    use super::super::ledger::{Decision, Ledger};
    use super::*;

    #[test]
    fn classes_that_take_turns_use_all_of_a_large_quota() {
        let (mut pieces, mut ledger, now) = (Pieces::default(), Ledger::default(), Instant::now());
        let (quota, piece, at) = (600_000, 100, Timestamp::from_second(1_800_000_000).unwrap());
        let mut sent = 0;
        'all: loop {
            for class in [Class::Control, Class::Waiting, Class::Background] {
                if !pieces.use_one(class, now) {
                    let decision = ledger.take(class, Endpoint::Contacts, piece, quota, at);
                    if decision != Decision::Granted {
                        break 'all;
                    }
                    pieces.keep(class, piece - 1, now);
                }
                sent += 1;
            }
        }
        // All but what is kept for the more urgent.
        assert!(sent > quota / 100 * 93, "{sent}");
    }

    #[test]
    fn a_piece_is_used_at_once_or_never() {
        let (mut pieces, now) = (Pieces::default(), Instant::now());
        pieces.keep(Class::Control, 1, now);
        assert!(!pieces.use_one(Class::Waiting, now));
        assert!(!pieces.use_one(Class::Control, now + GRANT_LASTS));
        assert!(pieces.use_one(Class::Control, now + Duration::from_millis(1)));
        assert!(!pieces.use_one(Class::Control, now));
    }
}
