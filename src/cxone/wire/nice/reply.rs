//! Reads answers tolerantly: numbers may be text, members may have an older name, lists may be named differently or empty.

use std::fmt;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// The members of one object.
#[derive(Clone, Debug)]
pub struct Fields(Map<String, Value>);

impl Fields {
    /// An answer that is one object.
    pub fn read(body: &[u8]) -> Option<Self> {
        serde_json::from_slice(body).ok().map(Self)
    }

    fn of(value: Value) -> Option<Self> {
        if let Value::Object(members) = value { Some(Self(members)) } else { None }
    }

    /// The first of these members that is given and not null.
    fn value(&self, names: &[&str]) -> Option<&Value> {
        names.iter().find_map(|name| self.0.get(*name).filter(|value| !value.is_null()))
    }

    pub fn integer(&self, names: &[&str]) -> Option<i64> {
        match self.value(names)? {
            Value::Number(number) => number.as_i64(),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        }
    }

    pub fn number(&self, names: &[&str]) -> Option<f64> {
        let number = match self.value(names)? {
            Value::Number(number) => number.as_f64(),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        };
        number.filter(|number| number.is_finite())
    }

    /// A duration in seconds. As text it may also be in the form of ISO 8601.
    pub fn seconds(&self, names: &[&str]) -> Option<f64> {
        let duration = || self.text(names)?.parse::<SignedDuration>().ok();
        self.number(names).or_else(|| duration().map(|duration| duration.as_secs_f64()))
    }

    /// A text, or a number as text.
    pub fn text(&self, names: &[&str]) -> Option<String> {
        match self.value(names)? {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        }
    }

    pub fn flag(&self, names: &[&str]) -> Option<bool> {
        match self.value(names)? {
            Value::Bool(flag) => Some(*flag),
            Value::Number(number) => number.as_i64().map(|number| number != 0),
            Value::String(text) if text.eq_ignore_ascii_case("true") || text == "1" => Some(true),
            Value::String(text) if text.eq_ignore_ascii_case("false") || text == "0" => Some(false),
            _ => None,
        }
    }

    /// A time. Without a zone it is UTC.
    pub fn instant(&self, names: &[&str]) -> Option<Timestamp> {
        let text = self.text(names)?;
        text.parse()
            .ok()
            .or_else(|| text.parse::<DateTime>().ok()?.to_zoned(TimeZone::UTC).ok().map(|at| at.timestamp()))
    }

    /// How a member is written: for reports that must not show its value.
    pub fn form(&self, names: &[&str]) -> &'static str {
        match self.value(names) {
            None => "absent",
            Some(Value::Number(_)) => "a number",
            Some(Value::Bool(_)) => "a boolean",
            Some(Value::String(text)) if text.parse::<Timestamp>().is_ok() => "a time with a zone",
            Some(Value::String(text)) if text.parse::<DateTime>().is_ok() => "a time without a zone",
            Some(Value::String(text)) if text.parse::<f64>().is_ok() => "a number as text",
            Some(Value::String(_)) => "text",
            Some(_) => "a list or an object",
        }
    }

    /// An object inside this one.
    pub fn inner(&self, names: &[&str]) -> Option<Self> {
        self.value(names).cloned().and_then(Self::of)
    }

    /// The first object of a list inside this one.
    pub fn first_of(&self, names: &[&str]) -> Option<Self> {
        self.value(names)?.as_array()?.first().cloned().and_then(Self::of)
    }
}

/// The objects of a list: under one of these names, under any name, in an object inside, or as the whole answer. No body is
/// an empty list.
pub fn rows(body: &[u8], names: &[&str]) -> Option<Vec<Fields>> {
    if body.is_empty() {
        return Some(Vec::new());
    }
    let list = list_in(serde_json::from_slice(body).ok()?, names)?;
    Some(list.into_iter().filter_map(Fields::of).collect())
}

fn list_in(answer: Value, names: &[&str]) -> Option<Vec<Value>> {
    let mut members = match answer {
        Value::Array(list) => return Some(list),
        Value::Object(members) => members,
        _ => return None,
    };
    let named = names.iter().find(|name| members.get(**name).is_some_and(Value::is_array)).copied();
    let any = || members.iter().find(|(_, value)| value.is_array()).map(|(name, _)| name.clone());
    if let Some(name) = named.map(str::to_owned).or_else(any) {
        return members.remove(&name).and_then(|list| list_in(list, names));
    }
    members.into_iter().find(|(_, value)| value.is_object()).and_then(|(_, inner)| list_in(inner, names))
}

/// The `skip` of the next page of a list, of which this one has `read` rows; none after the last one. Where the answer has no
/// `totalRecords`, the last page is the one that is not full.
pub fn next_page(answer: Option<&Fields>, skip: u32, read: usize, full: u32) -> Option<u32> {
    let read = u32::try_from(read).unwrap_or(u32::MAX);
    let next = skip.saturating_add(read);
    let total = answer.and_then(|answer| answer.integer(&["totalRecords"]));
    let is_last = read == 0 || total.map_or(read < full, |total| i64::from(next) >= total);
    (!is_last).then_some(next)
}

/// Reads the objects of every list in an answer one after the other: a long list takes no memory besides its text. None where
/// there is no list. No body is an empty list.
pub fn each_row(body: &[u8], mut take: impl FnMut(Fields)) -> Option<()> {
    if body.is_empty() {
        return Some(());
    }
    let mut json = serde_json::Deserializer::from_slice(body);
    let has_list = Lists(&mut take).deserialize(&mut json).ok()?;
    json.end().ok()?;
    has_list.then_some(())
}

/// Reads the lists of a value, and says whether there are any.
struct Lists<'a, F>(&'a mut F);

impl<'de, F: FnMut(Fields)> DeserializeSeed<'de> for Lists<'_, F> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<bool, D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de, F: FnMut(Fields)> Visitor<'de> for Lists<'_, F> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<bool, A::Error> {
        while let Some(row) = list.next_element::<Value>()? {
            Fields::of(row).map(&mut *self.0);
        }
        Ok(true)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<bool, A::Error> {
        let mut has_list = false;
        while members.next_key::<IgnoredAny>()?.is_some() {
            has_list |= members.next_value_seed(Lists(&mut *self.0))?;
        }
        Ok(has_list)
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_unit<E: Error>(self) -> Result<bool, E> {
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_read_whatever_their_type_or_name() {
        let fields = Fields::read(
            br#"{"skillId": "4001", "isActive": "True", "isRunning": 0, "campaignId": 100,
                "callbackTime": "2026-11-20T15:00:00.000", "start": "2026-11-20T15:00:00Z", "name": null, "old": "x"}"#,
        )
        .unwrap();
        assert_eq!(fields.integer(&["skillId"]), Some(4001));
        assert_eq!((fields.flag(&["isActive"]), fields.flag(&["isRunning"])), (Some(true), Some(false)));
        assert_eq!(fields.text(&["campaignId"]).as_deref(), Some("100"));
        let at = "2026-11-20T15:00:00Z".parse().ok();
        assert_eq!((fields.instant(&["callbackTime"]), fields.instant(&["start"])), (at, at));
        assert_eq!(fields.text(&["name", "old"]).as_deref(), Some("x"));
        assert_eq!((fields.integer(&["old"]), fields.instant(&["old"]), fields.flag(&["old"])), (None, None, None));
    }

    #[test]
    fn a_list_may_have_any_name_or_none_and_may_be_absent() {
        for (body, count) in [
            ("", Some(0)),
            (r#"{"totalRecords": 1, "skills": [{"skillId": 1}]}"#, Some(1)),
            (r#"{"resultSet": [{"skillId": 1}, 7]}"#, Some(1)),
            (r#"[{"skillId": 1}]"#, Some(1)),
            (r#"{"resultSet": {"total": 1, "dncGroups": [{"dncGroupId": 1}]}}"#, Some(1)),
            (r#"{"totalRecords": 0}"#, None),
            ("<html>", None),
        ] {
            assert_eq!(rows(body.as_bytes(), &["skills"]).map(|rows| rows.len()), count, "{body}");
            let mut taken = 0;
            let read = each_row(body.as_bytes(), |_| taken += 1);
            assert_eq!(read.map(|()| taken), count, "{body}");
        }
    }

    #[test]
    fn numbers_and_durations_may_be_text() {
        let fields = Fields::read(br#"{"a": 2.5, "b": " 300 ", "c": "PT5M16.5S", "d": "NaN", "e": true}"#).unwrap();
        for (name, number, seconds) in [
            ("a", Some(2.5), Some(2.5)),
            ("b", Some(300.0), Some(300.0)),
            ("c", None, Some(316.5)),
            ("d", None, None),
            ("e", None, None),
            ("g", None, None),
        ] {
            assert_eq!((fields.number(&[name]), fields.seconds(&[name])), (number, seconds), "{name}");
        }
    }
}
