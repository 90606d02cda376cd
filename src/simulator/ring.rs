//! A list that forgets its oldest entries.

use std::collections::VecDeque;

/// The last `capacity` entries, each under the number it got when it was added; numbers are never used twice.
pub(super) struct Ring<T> {
    entries: VecDeque<T>,
    first: u64,
    capacity: usize,
}

impl<T> Ring<T> {
    pub(super) fn new(capacity: usize) -> Self {
        Self { entries: VecDeque::new(), first: 0, capacity }
    }

    /// Adds one; says its number, and the entry that had to go for it.
    pub(super) fn push(&mut self, entry: T) -> (u64, Option<T>) {
        let gone = if self.entries.len() >= self.capacity { self.entries.pop_front() } else { None };
        if gone.is_some() {
            self.first += 1;
        }
        self.entries.push_back(entry);
        (self.first + self.entries.len() as u64 - 1, gone)
    }

    pub(super) fn get_mut(&mut self, number: u64) -> Option<&mut T> {
        let index = number.checked_sub(self.first)?;
        self.entries.get_mut(usize::try_from(index).ok()?)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.entries.iter()
    }

    pub(super) fn clear(&mut self) {
        self.first += self.entries.len() as u64;
        self.entries.clear();
    }
}
