//! A list that drops its oldest entries.

use std::collections::VecDeque;

/// The last `capacity` entries, each with the number assigned when it was added; numbers are never reused.
pub(in crate::simulator) struct Ring<T> {
    entries: VecDeque<T>,
    first: u64,
    capacity: usize,
}

impl<T> Ring<T> {
    pub(in crate::simulator) fn new(capacity: usize) -> Self {
        Self { entries: VecDeque::new(), first: 0, capacity }
    }

    /// Adds an entry. Returns its number, and the entry that was removed for it.
    pub(in crate::simulator) fn push(&mut self, entry: T) -> (u64, Option<T>) {
        let removed = if self.entries.len() >= self.capacity { self.entries.pop_front() } else { None };
        if removed.is_some() {
            self.first += 1;
        }
        self.entries.push_back(entry);
        (self.next() - 1, removed)
    }

    pub(in crate::simulator) fn get(&self, number: u64) -> Option<&T> {
        let index = number.checked_sub(self.first)?;
        self.entries.get(usize::try_from(index).ok()?)
    }

    pub(in crate::simulator) fn get_mut(&mut self, number: u64) -> Option<&mut T> {
        let index = number.checked_sub(self.first)?;
        self.entries.get_mut(usize::try_from(index).ok()?)
    }

    pub(in crate::simulator) fn iter(&self) -> impl Iterator<Item = &T> {
        self.entries.iter()
    }

    /// The number that the next entry gets.
    pub(in crate::simulator) fn next(&self) -> u64 {
        self.first + self.entries.len() as u64
    }

    pub(in crate::simulator) fn clear(&mut self) {
        self.first = self.next();
        self.entries.clear();
    }
}
