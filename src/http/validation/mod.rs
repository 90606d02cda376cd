//! Every fault in a request at once, by JSON pointer: the converter from `validator`'s errors.

mod member;

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::Value;
use validator::{ValidationError, ValidationErrors, ValidationErrorsKind};

use super::problem::{FieldFault, Problem};
use crate::types::Fault;

pub use member::{Element, JsonType, Length, Member, Unknown, typed, whole_number};

/// Where `validator` keeps the errors of `schema` rules.
const WHOLE_OBJECT: &str = "__all__";
/// The field of a request struct that holds the members it does not have.
const UNKNOWN: &str = "unknown";
/// The parameter that moves the error of a `schema` rule to one member.
const MEMBER: &str = "member";

/// The faults found so far in a request.
#[derive(Debug, Default)]
pub struct Faults(Vec<FieldFault>);

impl Faults {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a fault at `name`: a member of the body, a query parameter, or a part of the path.
    pub fn add(&mut self, name: &str, fault: Fault) {
        let pointer = format!("/{}", escape_pointer(name));
        self.0.push(FieldFault::new(pointer, fault));
    }

    /// Adds a fault at a name that the sender chose.
    pub fn add_unknown(&mut self, name: &str, fault: Fault) {
        let pointer = format!("/{}", escape_pointer(name));
        self.0.push(FieldFault { named_by_sender: true, ..FieldFault::new(pointer, fault) });
    }

    /// Adds what `validator` found.
    pub fn check(&mut self, validated: Result<(), ValidationErrors>) {
        if let Err(errors) = validated {
            collect(&errors, "", &mut self.0);
        }
    }

    /// Nothing, where nothing was found.
    ///
    /// # Errors
    /// A 422 with every fault.
    pub fn finish(self) -> Result<(), Problem> {
        if self.0.is_empty() { Ok(()) } else { Err(Problem::invalid(self.0)) }
    }
}

/// Nothing, where a request is valid.
///
/// # Errors
/// A 422 with every fault.
pub fn valid(validated: Result<(), ValidationErrors>) -> Result<(), Problem> {
    let mut faults = Faults::new();
    faults.check(validated);
    faults.finish()
}

impl From<Fault> for ValidationError {
    fn from(fault: Fault) -> Self {
        Self::new(fault.code).with_message(fault.detail.into())
    }
}

/// The error of a `schema` rule that belongs to one member, named as in JSON.
pub fn fault_at(member: &'static str, fault: Fault) -> ValidationError {
    let mut error = ValidationError::from(fault);
    error.add_param(MEMBER.into(), &member);
    error
}

/// The errors of a value that has one fault itself, for a `Validate` without the derive.
pub fn fault_of_value(fault: Fault) -> ValidationErrors {
    let mut errors = ValidationErrors::new();
    errors.add(WHOLE_OBJECT, fault.into());
    errors
}

/// The errors of an object whose sender chooses the names of its members. A fault without a name is one of the object
/// itself.
pub fn faults_of_members(faults: impl IntoIterator<Item = (Option<String>, Fault)>) -> ValidationErrors {
    let mut errors = ValidationErrors::new();
    let mut by_name: BTreeMap<String, Vec<ValidationError>> = BTreeMap::new();
    for (name, fault) in faults {
        match name {
            Some(name) => by_name.entry(name).or_default().push(fault.into()),
            None => errors.add(WHOLE_OBJECT, fault.into()),
        }
    }
    let members = by_name.into_iter().map(|(name, found)| (name.into(), ValidationErrorsKind::Field(found)));
    // Names below `UNKNOWN` are kept as they are.
    errors.0.insert(UNKNOWN.into(), ValidationErrorsKind::Struct(Box::new(ValidationErrors(members.collect()))));
    errors
}

/// Adds the faults below `base`, sorted by member and index. Those of the object itself come first.
fn collect(errors: &ValidationErrors, base: &str, faults: &mut Vec<FieldFault>) {
    let mut by_member: BTreeMap<Cow<'_, str>, Vec<FieldFault>> = BTreeMap::new();
    for (field, kind) in errors.errors() {
        match (field.as_ref(), kind) {
            (UNKNOWN, ValidationErrorsKind::Struct(unknown)) => {
                for (name, kind) in unknown.errors() {
                    let found = by_member.entry(name.clone()).or_default();
                    add_member(name, kind, base, found);
                    for fault in found {
                        fault.named_by_sender = true;
                    }
                }
            }
            (WHOLE_OBJECT, ValidationErrorsKind::Field(errors)) => {
                for error in errors {
                    let member = error.params.get(MEMBER).and_then(Value::as_str).unwrap_or_default();
                    let pointer = if member.is_empty() { base.to_owned() } else { pointer(base, member) };
                    by_member.entry(member.to_owned().into()).or_default().push(field_fault(error, pointer));
                }
            }
            (field, kind) => {
                let name = camel_case(field);
                let mut found = Vec::new();
                add_member(&name, kind, base, &mut found);
                // A member's own faults come before those of `schema` rules.
                by_member.entry(name.into()).or_default().splice(0..0, found);
            }
        }
    }
    faults.extend(by_member.into_values().flatten());
}

fn add_member(name: &str, kind: &ValidationErrorsKind, base: &str, faults: &mut Vec<FieldFault>) {
    let pointer = pointer(base, name);
    match kind {
        ValidationErrorsKind::Field(errors) => {
            // A member of the wrong type breaks all its rules; that is one fault.
            let wrong_type = errors.iter().find(|error| required_type(error).is_some());
            match wrong_type {
                Some(error) => faults.push(field_fault(error, pointer)),
                None => faults.extend(errors.iter().map(|error| field_fault(error, pointer.clone()))),
            }
        }
        ValidationErrorsKind::Struct(errors) => collect(errors, &pointer, faults),
        ValidationErrorsKind::List(items) => {
            for (index, errors) in items {
                collect(errors, &format!("{pointer}/{index}"), faults);
            }
        }
    }
}

fn field_fault(error: &ValidationError, pointer: String) -> FieldFault {
    if let Some(required) = required_type(error) {
        return FieldFault::new(pointer, Fault::new("wrong-type", format!("must be {required}")));
    }
    let code = match error.code.as_ref() {
        "range" | "length" => Cow::Borrowed("out-of-range"),
        _ => error.code.clone(),
    };
    let detail = error.message.clone().map_or_else(|| default_detail(error), Cow::into_owned);
    FieldFault { pointer, code, detail, named_by_sender: false }
}

/// The JSON type that the member must have, where it has another. See the `Serialize` of [`super::Member`].
fn required_type(error: &ValidationError) -> Option<&str> {
    error.params.get("value").and_then(Value::as_str)
}

/// For a rule of `validator`'s own whose derive gives no message.
fn default_detail(error: &ValidationError) -> String {
    let limit = |name: &str| error.params.get(name);
    match (error.code.as_ref(), limit("min"), limit("max")) {
        ("required", ..) => "is required".to_owned(),
        ("range", Some(min), Some(max)) => format!("must be from {min} to {max}"),
        ("range", Some(min), None) => format!("must be at least {min}"),
        ("range", None, Some(max)) => format!("must be at most {max}"),
        ("length", Some(min), Some(max)) => format!("must have {min} to {max} elements"),
        ("length", Some(min), None) => format!("must have at least {min} elements"),
        ("length", None, Some(max)) => format!("must have at most {max} elements"),
        _ => "is not valid".to_owned(),
    }
}

fn pointer(base: &str, name: &str) -> String {
    format!("{base}/{}", escape_pointer(name))
}

/// `~` and `/` as RFC 6901 writes them.
fn escape_pointer(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// A field of a request struct as JSON names it.
fn camel_case(field: &str) -> String {
    let mut words = field.trim_start_matches("r#").split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |mut name, word| {
        let mut letters = word.chars();
        name.extend(letters.next().map(|letter| letter.to_ascii_uppercase()));
        name + letters.as_str()
    })
}

#[cfg(test)]
mod tests;
