//! The only do-not-call group.

use std::collections::BTreeMap;

use jiff::Timestamp;

/// The most numbers that it has.
const MOST: usize = 100_000;

pub(in crate::simulator) const GROUP_ID: u64 = 1;
pub(in crate::simulator) const GROUP_NAME: &str = "Do not call";

/// One number.
pub(in crate::simulator) struct Record {
    pub(in crate::simulator) collected: Timestamp,
    /// As the client sent it.
    pub(in crate::simulator) expires: Option<String>,
}

/// The numbers, as digits.
#[derive(Default)]
pub(in crate::simulator) struct DoNotCall(BTreeMap<String, Record>);

impl DoNotCall {
    pub(in crate::simulator) fn get(&self, digits: &str) -> Option<&Record> {
        self.0.get(digits)
    }

    /// Adds a number, or says why not.
    pub(in crate::simulator) fn add(&mut self, digits: &str, record: Record) -> Result<(), &'static str> {
        if !is_number(digits) {
            return Err("Phone Number is not valid.");
        }
        if self.0.contains_key(digits) {
            return Err("Phone Number already exists.");
        }
        if self.0.len() >= MOST {
            return Err("The group is full.");
        }
        self.0.insert(digits.to_owned(), record);
        Ok(())
    }

    /// Removes a number, or says why not.
    pub(in crate::simulator) fn remove(&mut self, digits: &str) -> Result<(), &'static str> {
        self.0.remove(digits).map(|_| ()).ok_or("Phone Number does not exist.")
    }

    pub(in crate::simulator) fn clear(&mut self) {
        self.0.clear();
    }
}

/// Whether these are the digits of a phone number with its country code.
pub(in crate::simulator) fn is_number(digits: &str) -> bool {
    (7..=15).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit())
}
