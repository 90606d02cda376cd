//! The bytes of an entry that the log covers.

use jiff::Timestamp;
use serde::{Serialize, Serializer};
use serde_json::{Number, Value};
use tlog_tiles::tlog::{Hash, record_hash};
use uuid::Uuid;

use crate::audit::{Entry, Outcome, RecordedAction};

/// The largest integer that every reader of JSON reads exactly.
const LARGEST_INTEGER: u64 = (1 << 53) - 1;

/// The hash of an entry's leaf. The leaf is the entry as the API shows it, in the canonical form of RFC 8785.
///
/// This never changes for an entry that exists: a member that entries get later must be left out where it is null.
///
/// # Errors
/// If the entry cannot be written as JSON.
pub fn leaf_hash(entry: &Entry) -> Result<Hash, serde_json::Error> {
    Ok(record_hash(&canonical(entry)?))
}

/// The entry in its canonical form. Most entries have no fractions; those are written at once, in a fraction of the time.
fn canonical(entry: &Entry) -> Result<Vec<u8>, serde_json::Error> {
    let is_simple = entry.answer_rate.is_none() && has_simple_numbers(entry.detail.as_json());
    if is_simple { serde_json::to_vec(&Leaf::of(entry)) } else { serde_json_canonicalizer::to_vec(entry) }
}

fn has_simple_numbers(value: &Value) -> bool {
    match value {
        Value::Number(number) => number.as_i64().is_some_and(|number| number.unsigned_abs() <= LARGEST_INTEGER),
        Value::Array(values) => values.iter().all(has_simple_numbers),
        Value::Object(members) => members.values().all(has_simple_numbers),
        Value::Null | Value::Bool(_) | Value::String(_) => true,
    }
}

/// An entry without fractions, with its members in their canonical order.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Leaf<'a> {
    action: &'a RecordedAction,
    actor: LeafActor<'a>,
    answer_rate: Option<Number>,
    call_volume_after: Option<i64>,
    call_volume_before: Option<i64>,
    callback_id: Option<Uuid>,
    campaign_id: Option<&'a str>,
    compliance_hold: Option<bool>,
    detail: Sorted<'a>,
    id: Uuid,
    latency_ms: Option<i64>,
    new_state: Option<&'a str>,
    outcome: Outcome,
    previous_state: Option<&'a str>,
    request_id: Option<&'a str>,
    timestamp: Timestamp,
    triggered_by: Option<&'a str>,
}

#[derive(Serialize)]
struct LeafActor<'a> {
    id: &'a str,
    name: &'a str,
    r#type: crate::audit::ActorType,
}

impl<'a> Leaf<'a> {
    fn of(entry: &'a Entry) -> Self {
        Self {
            action: &entry.action,
            actor: LeafActor { id: &entry.actor.id, name: &entry.actor.name, r#type: entry.actor.r#type },
            answer_rate: None,
            call_volume_after: entry.call_volume_after,
            call_volume_before: entry.call_volume_before,
            callback_id: entry.callback_id,
            campaign_id: entry.campaign_id.as_deref(),
            compliance_hold: entry.compliance_hold,
            detail: Sorted(entry.detail.as_json()),
            id: entry.id,
            latency_ms: entry.latency_ms,
            new_state: entry.new_state.as_deref(),
            outcome: entry.outcome,
            previous_state: entry.previous_state.as_deref(),
            request_id: entry.request_id.as_deref(),
            timestamp: entry.timestamp,
            triggered_by: entry.triggered_by.as_deref(),
        }
    }
}

/// A value whose members are written in the order of their names, compared by UTF-16 units.
struct Sorted<'a>(&'a Value);

impl Serialize for Sorted<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Object(members) => {
                let mut members: Vec<_> = members.iter().map(|(name, value)| (name, Sorted(value))).collect();
                members.sort_unstable_by(|(one, _), (other, _)| one.encode_utf16().cmp(other.encode_utf16()));
                serializer.collect_map(members)
            }
            Value::Array(values) => serializer.collect_seq(values.iter().map(Sorted)),
            other => other.serialize(serializer),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::audit::{Action, Actor};

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            (-1000_i64..1000).prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 16, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::hash_map(any::<String>(), inner, 0..4)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn an_entry_that_is_written_at_once_has_the_canonical_form(
            texts in prop::array::uniform7(prop::option::of(any::<String>())),
            numbers in prop::array::uniform3(prop::option::of(-(1_i64 << 53)..1 << 53)),
            hold in any::<Option<bool>>(),
            ids in any::<[u128; 2]>(),
            second in 0_i64..4_000_000_000,
            detail in value(),
        ) {
            let timestamp = Timestamp::from_second(second).unwrap();
            let [campaign_id, previous_state, new_state, triggered_by, request_id, actor_id, name] = texts;
            let actor = Actor { id: actor_id.unwrap_or_default(), name: name.unwrap_or_default(), ..Actor::operator() };
            let entry = Entry::new(Uuid::from_u128(ids[0]), timestamp, Action::KeyCreated, actor, Outcome::Succeeded)
                .with_detail(&json!({"z": 1, "a": detail}));
            let entry = Entry {
                campaign_id, previous_state, new_state, triggered_by, request_id, compliance_hold: hold,
                callback_id: Some(Uuid::from_u128(ids[1])), latency_ms: numbers[0], call_volume_before: numbers[1],
                call_volume_after: numbers[2], ..entry
            };
            prop_assert_eq!(canonical(&entry).unwrap(), serde_json_canonicalizer::to_vec(&entry).unwrap());
        }
    }
}
