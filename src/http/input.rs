//! Bodies and queries, read so that every fault in them is found at once.
//!
//! A request is a struct of [`Member`]s: reading it never stops at the first member that is wrong. [`Faults`] then
//! takes each member through the one parser of its meaning and gathers what they say.

use std::collections::BTreeMap;

use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::problem::{FieldFault, Problem};
use crate::types::Fault;

/// One member of a request's JSON object, not yet understood.
#[derive(Clone, Debug, Default)]
pub enum Member<T> {
    /// Left out, or null.
    #[default]
    Absent,
    /// Of another JSON type.
    Mistyped,
    /// Of the right JSON type; what it means is still to be parsed.
    Given(T),
}

/// A JSON type that a member can have.
pub trait JsonType: DeserializeOwned {
    /// Its name, as in "must be a string".
    const NAME: &'static str;
}

impl JsonType for String {
    const NAME: &'static str = "a string";
}

/// Any; it is looked at later.
impl JsonType for Value {
    const NAME: &'static str = "a value";
}

impl JsonType for bool {
    const NAME: &'static str = "true or false";
}

impl JsonType for f64 {
    const NAME: &'static str = "a number";
}

impl JsonType for u32 {
    const NAME: &'static str = "a whole number, not negative";
}

impl<T: DeserializeOwned> JsonType for Vec<T> {
    const NAME: &'static str = "an array";
}

impl<'de, T: JsonType> Deserialize<'de> for Member<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match Value::deserialize(deserializer)? {
            Value::Null => Self::Absent,
            value => T::deserialize(value).map_or(Self::Mistyped, Self::Given),
        })
    }
}

/// What `#[serde(flatten)]` leaves: the members that the request does not have.
pub type Unknown = BTreeMap<String, IgnoredAny>;

/// The faults found so far, below one place of the body.
#[derive(Debug, Default)]
pub struct Faults {
    base: String,
    found: Vec<FieldFault>,
}

impl Faults {
    /// None yet, in the body as a whole.
    pub fn new() -> Self {
        Self::default()
    }

    /// Notes a fault at `name`, a member's name; empty for the object itself.
    pub fn add(&mut self, name: &str, fault: Fault) {
        let pointer =
            if name.is_empty() { self.base.clone() } else { format!("{}/{}", self.base, escape_pointer(name)) };
        self.found.push(FieldFault { pointer, code: fault.code.into(), detail: fault.detail });
    }

    /// A member that must be there, through its parser.
    pub fn required<T: JsonType, M>(
        &mut self,
        name: &str,
        member: &Member<T>,
        parse: impl FnOnce(&T) -> Result<M, Fault>,
    ) -> Option<M> {
        if matches!(member, Member::Absent) {
            self.add(name, Fault::new("required", "is required"));
        }
        self.optional(name, member, parse)
    }

    /// A member that may be there, through its parser.
    pub fn optional<T: JsonType, M>(
        &mut self,
        name: &str,
        member: &Member<T>,
        parse: impl FnOnce(&T) -> Result<M, Fault>,
    ) -> Option<M> {
        let parsed = match member {
            Member::Absent => return None,
            Member::Mistyped => Err(Fault::new("wrong-type", format!("must be {}", T::NAME))),
            Member::Given(value) => parse(value),
        };
        parsed.map_err(|fault| self.add(name, fault)).ok()
    }

    /// Reads an object in the body; its faults are noted below `name`.
    pub fn within<M>(&mut self, name: &str, read: impl FnOnce(&mut Self) -> M) -> M {
        let base = format!("{}/{}", self.base, escape_pointer(name));
        let mut inner = Self { base, found: Vec::new() };
        let result = read(&mut inner);
        self.found.append(&mut inner.found);
        result
    }

    /// A member that may be there and is an object of the request struct `T`; its faults are noted below `name`.
    pub fn object<T: DeserializeOwned, M>(
        &mut self,
        name: &str,
        member: &Member<Value>,
        read: impl FnOnce(T, &mut Self) -> Option<M>,
    ) -> Option<M> {
        let Member::Given(value) = member else { return None };
        self.within(name, |faults| match value.is_object().then(|| T::deserialize(value)) {
            Some(Ok(request)) => read(request, faults),
            _ => {
                faults.add("", Fault::new("wrong-type", "must be an object"));
                None
            }
        })
    }

    /// Members that the request does not have.
    pub fn unknown(&mut self, members: &Unknown) {
        for name in members.keys() {
            self.add(name, Fault::new("unknown-member", "is not a member of this request"));
        }
    }

    /// The value where nothing was found, else the problem with all that was.
    ///
    /// # Errors
    /// A 422 with every fault.
    pub fn finish<T>(self, value: Option<T>) -> Result<T, Problem> {
        match value {
            Some(value) if self.found.is_empty() => Ok(value),
            _ => Err(Problem::invalid(self.found)),
        }
    }
}

/// `~` and `/` as RFC 6901 writes them.
fn escape_pointer(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}
