//! The OpenAPI document, and its schemas.

use boon::{Compiler, SchemaIndex, Schemas};
use jiff::{SignedDuration, Timestamp};
use reqwest::Method;
use serde_json::{Map, Value, json};

/// The moment that the examples assume to be now.
const EXAMPLE_NOW: &str = "2026-11-20T14:00:00Z";

/// The OpenAPI document.
pub struct Document(Value);

/// An operation of the document.
pub struct Operation<'a> {
    pub document: &'a Document,
    pub method: Method,
    pub path: &'a str,
    pub json: &'a Value,
}

impl Document {
    /// The document in `openapi/`. `make check` compares it with that of the program.
    pub fn published() -> Self {
        Self(serde_json::from_str(include_str!("../../../openapi/ringback.json")).unwrap())
    }

    /// The document that a service answers.
    pub fn new(document: Value) -> Self {
        assert!(document["info"]["description"].as_str().unwrap().contains(EXAMPLE_NOW));
        Self(document)
    }

    pub fn operations(&self) -> impl Iterator<Item = Operation<'_>> {
        let items = self.0["paths"].as_object().unwrap().iter();
        items.flat_map(|(path, item)| {
            item.as_object().unwrap().iter().map(|(method, json)| Operation {
                document: self,
                method: method.to_uppercase().parse().unwrap(),
                path,
                json,
            })
        })
    }

    /// The schema itself: the one that is referred to, and the one that is not null.
    pub fn resolved<'a>(&'a self, schema: &'a Value) -> &'a Value {
        if let Some(reference) = schema["$ref"].as_str() {
            return self.resolved(self.0.pointer(reference.trim_start_matches('#')).expect(reference));
        }
        let choices = schema["oneOf"].as_array().into_iter().flatten();
        match choices.into_iter().find(|choice| choice["type"] != "null") {
            Some(choice) => self.resolved(choice),
            None => schema,
        }
    }

    /// Checks values against a schema.
    pub fn validator(&self, schema: &Value) -> Validator {
        Validator::new(schema, self.0["components"].clone())
    }

    /// The same, and a member that is not documented is a fault too.
    pub fn strict_validator(&self, schema: &Value) -> Validator {
        let mut components = self.0["components"].clone();
        close(&mut components);
        Validator::new(schema, components)
    }
}

/// Allows no members but those of `properties`.
fn close(schema: &mut Value) {
    if schema.get("properties").is_some() && schema.get("additionalProperties").is_none() {
        schema["additionalProperties"] = json!(false);
    }
    match schema {
        Value::Object(members) => members.values_mut().for_each(close),
        Value::Array(items) => items.iter_mut().for_each(close),
        _ => {}
    }
}

impl<'a> Operation<'a> {
    /// The method and the path, for messages.
    pub fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    /// The parameters in `path`, `query` or `header`.
    pub fn parameters(&self, place: &str) -> Vec<&'a Value> {
        let all = self.json["parameters"].as_array().into_iter().flatten();
        all.filter(|parameter| parameter["in"] == place).collect()
    }

    /// The examples of the body by name. `None` is a request without a body.
    pub fn examples(&self) -> Vec<(&'a str, Option<&'a Value>)> {
        let body = &self.json["requestBody"];
        let content = &body["content"]["application/json"];
        let named = content["examples"].as_object().into_iter().flatten();
        let mut examples: Vec<_> = named.map(|(name, example)| (name.as_str(), Some(&example["value"]))).collect();
        examples.extend(content.get("example").map(|example| ("example", Some(example))));
        assert!(body.is_null() || !examples.is_empty(), "{} has no example of its body", self.name());
        if body["required"] != true {
            examples.push(("no body", None));
        }
        examples
    }

    /// The schema of the body.
    pub fn body_schema(&self) -> Option<&'a Value> {
        self.json["requestBody"]["content"]["application/json"].get("schema")
    }

    /// The documented successful responses by status.
    pub fn successes(&self) -> impl Iterator<Item = (&'a str, &'a Value)> {
        let responses = self.json["responses"].as_object().unwrap().iter();
        responses.map(|(status, response)| (status.as_str(), response)).filter(|(status, _)| status.starts_with('2'))
    }
}

/// A compiled schema.
pub struct Validator {
    schemas: Schemas,
    index: SchemaIndex,
}

impl Validator {
    fn new(schema: &Value, components: Value) -> Self {
        const URL: &str = "https://ringback.example/schema.json";
        let mut root: Map<String, Value> = schema.as_object().unwrap().clone();
        root.insert("components".to_owned(), components);
        let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
        compiler.enable_format_assertions();
        compiler.add_resource(URL, root.into()).unwrap();
        let index = compiler.compile(URL, &mut schemas).unwrap();
        Self { schemas, index }
    }

    /// Panics with every fault of the value.
    pub fn check(&self, value: &Value, name: &str) {
        if let Err(faults) = self.schemas.validate(value, self.index) {
            panic!("{name}: {faults:#}\n{value:#}");
        }
    }

    pub fn accepts(&self, value: &Value) -> bool {
        self.schemas.validate(value, self.index).is_ok()
    }
}

/// An example whose timestamps are moved from [`EXAMPLE_NOW`] to now.
pub fn moved_to_now(example: &Value) -> Value {
    let from: Timestamp = EXAMPLE_NOW.parse().unwrap();
    let by = SignedDuration::from_secs(Timestamp::now().as_second() - from.as_second());
    let mut example = example.clone();
    move_by(&mut example, by);
    example
}

fn move_by(value: &mut Value, by: SignedDuration) {
    match value {
        Value::String(text) => {
            if let Ok(at) = text.parse::<Timestamp>() {
                *text = (at + by).to_string();
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| move_by(item, by)),
        Value::Object(members) => members.values_mut().for_each(|member| move_by(member, by)),
        _ => {}
    }
}
