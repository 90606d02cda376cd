//! Which values of a claim give which scopes. A value that is not listed gives none.

use std::collections::BTreeMap;
use std::str::FromStr as _;

use serde_json::Value;

use crate::http::Scope;
use crate::types::Fault;

/// The most values that are mapped.
const MAX_VALUES: usize = 1000;

/// The scopes of each value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScopeMapping(BTreeMap<String, Vec<Scope>>);

impl ScopeMapping {
    /// A JSON object: for each value of the claim, its scopes with spaces between.
    ///
    /// # Errors
    /// `bad-scope-mapping` for anything else, also for a scope that does not exist.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        let bad = |detail: String| Fault::new("bad-scope-mapping", detail);
        let values: BTreeMap<String, String> = serde_json::from_str(text).map_err(|_| {
            bad(r#"must be a JSON object of texts, such as {"ivr": "callbacks:read callbacks:write"}"#.to_owned())
        })?;
        if !(1..=MAX_VALUES).contains(&values.len()) {
            return Err(bad(format!("must have 1 to {MAX_VALUES} values")));
        }
        let scopes = |text: &str| text.split_ascii_whitespace().map(Scope::from_str).collect::<Result<Vec<_>, _>>();
        let mapped = values.into_iter().map(|(value, text)| Ok((value, scopes(&text)?)));
        mapped.collect::<Result<_, _>>().map(Self).map_err(|error: crate::http::UnknownScope| bad(error.to_string()))
    }

    /// The scopes of a claim, each once and in order. The claim is a text whose values have spaces between, as `scope`, or a list,
    /// as `groups` and `roles`.
    pub fn scopes_of(&self, claim: &Value) -> Vec<Scope> {
        let values: Vec<&str> = match claim {
            Value::String(text) => text.split_ascii_whitespace().collect(),
            Value::Array(values) => values.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        let mut scopes: Vec<Scope> =
            values.into_iter().filter_map(|value| self.0.get(value)).flatten().copied().collect();
        scopes.sort_unstable();
        scopes.dedup();
        scopes
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_listed_values_of_a_claim_give_scopes() {
        let mapping = r#"{"ivr": "callbacks:write  callbacks:read", "Contact Centre": "callbacks:read audit:read"}"#;
        let mapping = ScopeMapping::parse(mapping).unwrap();
        let (write, read, audit) = (Scope::CallbacksWrite, Scope::CallbacksRead, Scope::AuditRead);
        for (claim, scopes) in [
            (json!("openid ivr profile"), vec![write, read]),
            (json!(["Contact Centre", "ivr", 7, null]), vec![write, read, audit]),
            (json!("Contact Centre"), vec![]),
            (json!("callbacks:read IVR ivr2"), vec![]),
            (json!(["openid ivr"]), vec![]),
            (json!({"ivr": true}), vec![]),
            (json!(null), vec![]),
        ] {
            assert_eq!(mapping.scopes_of(&claim), scopes, "{claim}");
        }
    }

    #[test]
    fn a_mapping_is_an_object_of_known_scopes() {
        for bad in ["", "ivr=callbacks:read", "[]", "{}", r#"{"ivr": ["audit:read"]}"#, r#"{"ivr": "audit:read all"}"#]
        {
            assert!(ScopeMapping::parse(bad).is_err(), "{bad}");
        }
        assert_eq!(ScopeMapping::parse(r#"{"guest": ""}"#).unwrap().scopes_of(&json!("guest")), []);
    }
}
