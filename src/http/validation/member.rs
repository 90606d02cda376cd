//! Members of a request's JSON object: absent, of the wrong type, or given and still to be parsed.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Number, Value};
use validator::{
    Validate, ValidateLength, ValidateRange, ValidateRequired, ValidationError, ValidationErrors, ValidationErrorsKind,
};

use super::WHOLE_OBJECT;
use crate::types::Fault;

/// One member of a request's JSON object.
///
/// Reading a request never stops at a member of the wrong type, so that every fault in it is found. `T` is the JSON type,
/// `P` what its rule parses it into: a `custom` rule of `validator`'s derive calls [`Member::parse`], which keeps the result.
#[derive(Clone, Debug)]
pub struct Member<T, P = T> {
    given: Given<T>,
    parsed: OnceLock<P>,
}

#[derive(Clone, Debug)]
enum Given<T> {
    /// Left out, or null.
    Absent,
    /// Of another JSON type.
    WrongType,
    Value(T),
}

/// A JSON type that a member can have.
pub trait JsonType: DeserializeOwned {
    /// Its name, as in "must be a string".
    const NAME: &'static str;

    /// Reads a value; none where it is of another type.
    fn read(value: Value) -> Option<Self> {
        Self::deserialize(value).ok()
    }
}

impl JsonType for String {
    const NAME: &'static str = "a string";
}

/// Any JSON value; it is read later.
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

    fn read(value: Value) -> Option<Self> {
        whole_number(value.as_number()?)
    }
}

/// The number where it is whole. In JSON Schema, `25.0` is an integer.
pub fn whole_number(number: &Number) -> Option<u32> {
    match number.as_u64() {
        Some(whole) => whole.try_into().ok(),
        // The text of a whole float has no point. Adding zero makes -0 positive.
        None => (number.as_f64()? + 0.0).to_string().parse().ok(),
    }
}

impl<T: DeserializeOwned> JsonType for Vec<T> {
    const NAME: &'static str = "an array";
}

impl<T, P> Member<T, P> {
    /// Whether it was left out, or null.
    pub fn is_absent(&self) -> bool {
        matches!(self.given, Given::Absent)
    }

    /// The value as it was sent; none where it is absent or of the wrong type.
    pub fn value(&self) -> Option<&T> {
        match &self.given {
            Given::Value(value) => Some(value),
            Given::Absent | Given::WrongType => None,
        }
    }

    /// The value as it was sent, owned.
    pub fn into_value(self) -> Option<T> {
        match self.given {
            Given::Value(value) => Some(value),
            Given::Absent | Given::WrongType => None,
        }
    }

    /// Parses the value, if there is one, and keeps the result: a rule for `#[validate(custom(...))]`.
    ///
    /// # Errors
    /// The fault that `parse` finds, or the wrong JSON type.
    pub fn parse(&self, parse: impl FnOnce(&T) -> Result<P, Fault>) -> Result<(), ValidationError> {
        match &self.given {
            Given::Absent => Ok(()),
            Given::WrongType => Err(ValidationError::new("wrong-type")),
            Given::Value(value) => {
                // A member that is validated twice keeps its first result.
                let _ = self.parsed.set(parse(value)?);
                Ok(())
            }
        }
    }

    /// Checks the value, if there is one: a rule for `#[validate(custom(...))]` that parses nothing.
    ///
    /// # Errors
    /// The fault that `check` finds, or the wrong JSON type.
    pub fn check(&self, check: impl FnOnce(&T) -> Result<(), Fault>) -> Result<(), ValidationError> {
        match &self.given {
            Given::Absent => Ok(()),
            Given::WrongType => Err(ValidationError::new("wrong-type")),
            Given::Value(value) => check(value).map_err(ValidationError::from),
        }
    }

    /// What [`Member::parse`] made of it.
    pub fn parsed(&self) -> Option<&P> {
        self.parsed.get()
    }

    /// What [`Member::parse`] made of it, owned.
    pub fn into_parsed(self) -> Option<P> {
        self.parsed.into_inner()
    }
}

/// The rule of a member of which only the JSON type matters.
///
/// # Errors
/// The wrong JSON type.
pub fn typed<T, P>(member: &Member<T, P>) -> Result<(), ValidationError> {
    member.check(|_| Ok(()))
}

impl<T, P> Default for Member<T, P> {
    fn default() -> Self {
        Self { given: Given::Absent, parsed: OnceLock::new() }
    }
}

impl<'de, T: JsonType, P> Deserialize<'de> for Member<T, P> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let given = match Value::deserialize(deserializer)? {
            Value::Null => Given::Absent,
            value => T::read(value).map_or(Given::WrongType, Given::Value),
        };
        Ok(Self { given, parsed: OnceLock::new() })
    }
}

/// What `validator` keeps of a member beside its fault: the JSON type that it must have, where it has another. Never the
/// value, which may be personal.
impl<T: JsonType, P> Serialize for Member<T, P> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.given {
            Given::WrongType => serializer.serialize_str(T::NAME),
            Given::Absent | Given::Value(_) => serializer.serialize_unit(),
        }
    }
}

impl<T, P> ValidateRequired for Member<T, P> {
    fn is_some(&self) -> bool {
        !self.is_absent()
    }
}

impl<T: PartialOrd, P> ValidateRange<T> for Member<T, P> {
    fn validate_range(
        &self,
        min: Option<T>,
        max: Option<T>,
        exclusive_min: Option<T>,
        exclusive_max: Option<T>,
    ) -> bool {
        match &self.given {
            Given::Absent => true,
            Given::WrongType => false,
            Given::Value(value) => {
                min.is_none_or(|min| *value >= min)
                    && max.is_none_or(|max| *value <= max)
                    && exclusive_min.is_none_or(|min| *value > min)
                    && exclusive_max.is_none_or(|max| *value < max)
            }
        }
    }

    fn greater_than(&self, max: T) -> Option<bool> {
        self.value().map(|value| *value > max)
    }

    fn less_than(&self, min: T) -> Option<bool> {
        self.value().map(|value| *value < min)
    }
}

/// A value that has a length: characters of a string, elements of an array.
pub trait Length {
    fn length(&self) -> usize;
}

impl Length for String {
    fn length(&self) -> usize {
        self.chars().count()
    }
}

impl<T> Length for Vec<T> {
    fn length(&self) -> usize {
        self.len()
    }
}

impl<T: Length, P> ValidateLength<u64> for Member<T, P> {
    fn validate_length(&self, min: Option<u64>, max: Option<u64>, equal: Option<u64>) -> bool {
        match &self.given {
            Given::Absent => true,
            Given::WrongType => false,
            Given::Value(value) => {
                let length = value.length() as u64;
                min.is_none_or(|min| length >= min)
                    && max.is_none_or(|max| length <= max)
                    && equal.is_none_or(|equal| length == equal)
            }
        }
    }

    fn length(&self) -> Option<u64> {
        self.value().map(|value| value.length() as u64)
    }
}

/// An object, or an array of objects, with rules of its own: `#[validate(nested)]`.
impl<T: JsonType + Validate, P> Validate for Member<T, P> {
    fn validate(&self) -> Result<(), ValidationErrors> {
        match &self.given {
            Given::Absent => Ok(()),
            Given::Value(value) => value.validate(),
            Given::WrongType => Err(wrong_type::<T>()),
        }
    }
}

/// An element of an array of objects. Unlike a member, it is of the wrong type where it is null.
#[derive(Clone, Debug)]
pub struct Element<T>(Member<T>);

impl<T> Element<T> {
    /// The value as it was sent; none where it is of the wrong type.
    pub fn value(&self) -> Option<&T> {
        self.0.value()
    }

    /// Validates the value by `validate`, for rules with a context, which `nested` does not pass on.
    ///
    /// # Errors
    /// Those of `validate`, or the wrong JSON type.
    pub fn validate_with(
        &self,
        validate: impl FnOnce(&T) -> Result<(), ValidationErrors>,
    ) -> Result<(), ValidationErrors>
    where
        T: JsonType,
    {
        self.value().map_or_else(|| Err(wrong_type::<T>()), validate)
    }
}

impl<'de, T: JsonType> Deserialize<'de> for Element<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut member = Member::deserialize(deserializer)?;
        if member.is_absent() {
            member.given = Given::WrongType;
        }
        Ok(Self(member))
    }
}

impl<T: JsonType + Validate> Validate for Element<T> {
    fn validate(&self) -> Result<(), ValidationErrors> {
        self.validate_with(T::validate)
    }
}

fn wrong_type<T: JsonType>() -> ValidationErrors {
    let mut error = ValidationError::new("wrong-type");
    error.add_param("value".into(), &T::NAME);
    let mut errors = ValidationErrors::new();
    errors.add(WHOLE_OBJECT, error);
    errors
}

/// The unknown members of an object that are named. A body can have 100,000.
pub(super) const MAX_NAMED: usize = 20;

/// The members that a request does not have. A request struct has one, named `unknown`, with `#[serde(flatten)]` and
/// `#[validate(nested)]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(transparent)]
#[expect(clippy::zero_sized_map_values, reason = "serde flattens a map; a set it does not")]
pub struct Unknown(BTreeMap<String, IgnoredAny>);

impl Validate for Unknown {
    fn validate(&self) -> Result<(), ValidationErrors> {
        if self.0.is_empty() {
            return Ok(());
        }
        let others = self.0.len().saturating_sub(MAX_NAMED);
        let detail = |index| match others {
            1.. if index + 1 == MAX_NAMED => format!("is not a member of this request; {others} more are not listed"),
            _ => "is not a member of this request".to_owned(),
        };
        let error = |(index, name): (usize, &String)| {
            let fault = Fault::new("unknown-member", detail(index));
            (name.clone().into(), ValidationErrorsKind::Field(vec![fault.into()]))
        };
        Err(ValidationErrors(self.0.keys().take(MAX_NAMED).enumerate().map(error).collect()))
    }
}
