use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;
use serde_json::{Map, Value};

use super::Fault;

const MOST_PAIRS: usize = 20;
/// Pairs whose faults are found. An object can have 100,000.
const MOST_READ: usize = 2 * MOST_PAIRS;
/// In characters.
const LONGEST_KEY: usize = 40;
/// In characters.
const LONGEST_VALUE: usize = 500;

/// Pairs of text that a client adds to a callback. They may be personal: `Debug` shows only their number, so that they are
/// not logged by accident.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct Metadata(BTreeMap<String, String>);

impl Metadata {
    /// # Errors
    /// The faults of the first 40 pairs, each with the key of its pair; the fault of having too many pairs has no key.
    pub fn parse(object: &Map<String, Value>) -> Result<Self, Vec<(Option<String>, Fault)>> {
        let mut faults = Vec::new();
        if object.len() > MOST_PAIRS {
            faults.push((None, Fault::new("out-of-range", format!("must have at most {MOST_PAIRS} members"))));
        }
        for (key, value) in object.iter().take(MOST_READ) {
            let found = [key_fault(key), value_fault(value)];
            faults.extend(found.into_iter().flatten().map(|fault| (Some(key.clone()), fault)));
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        let pairs = object.iter().filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())));
        Ok(Self(pairs.collect()))
    }
}

fn key_fault(key: &str) -> Option<Fault> {
    let is_key = (1..=LONGEST_KEY).contains(&key.chars().count()) && !key.contains('\0');
    let detail = format!("must have a name of 1 to {LONGEST_KEY} characters, without NUL");
    (!is_key).then(|| Fault::new("not-a-metadata-key", detail))
}

fn value_fault(value: &Value) -> Option<Fault> {
    let Some(text) = value.as_str() else {
        return Some(Fault::new("wrong-type", "must be a string"));
    };
    if text.chars().count() > LONGEST_VALUE {
        return Some(Fault::new("too-long", format!("must be at most {LONGEST_VALUE} characters")));
    }
    // Postgres does not store it.
    text.contains('\0').then(|| Fault::new("nul-character", "must not contain the character NUL"))
}

impl fmt::Debug for Metadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Metadata({} pairs)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(value: Value) -> Result<Metadata, Vec<(Option<String>, Fault)>> {
        Metadata::parse(value.as_object().unwrap())
    }

    #[test]
    fn up_to_20_pairs_of_short_texts_are_metadata() {
        let most: Map<String, Value> = (0..20).map(|n| (format!("key {n}"), json!("€".repeat(500)))).collect();
        for value in
            [json!({}), json!({"a": ""}), json!({"a\tb": "c\nd"}), json!({"€".repeat(40): "x"}), Value::Object(most)]
        {
            assert_eq!(json!(parse(value.clone()).unwrap()), value);
        }
    }

    #[test]
    fn each_fault_names_its_key() {
        let mut object: Map<String, Value> = (0..20).map(|n| (n.to_string(), json!("x"))).collect();
        object.insert("long".into(), json!("x".repeat(501)));
        object.insert("nul".into(), json!("a\0b"));
        object.insert("number".into(), json!(7));
        object.insert("null".into(), Value::Null);
        object.insert(String::new(), json!(["x"]));
        object.insert("k".repeat(41), json!("x"));
        let faults = parse(Value::Object(object)).unwrap_err();
        let faults: Vec<_> = faults.iter().map(|(key, fault)| (key.as_deref(), fault.code)).collect();
        let long_key = "k".repeat(41);
        let expected = [
            (None, "out-of-range"),
            (Some("long"), "too-long"),
            (Some("nul"), "nul-character"),
            (Some("number"), "wrong-type"),
            (Some("null"), "wrong-type"),
            (Some(""), "not-a-metadata-key"),
            (Some(""), "wrong-type"),
            (Some(long_key.as_str()), "not-a-metadata-key"),
        ];
        assert_eq!(faults, expected);
    }

    #[test]
    fn debug_output_hides_the_text() {
        assert_eq!(format!("{:?}", parse(json!({"name": "Ada"})).unwrap()), "Metadata(1 pairs)");
    }
}
