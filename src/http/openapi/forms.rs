//! The limits of requests in the OpenAPI document. A parameter or a request member of one name has one form everywhere.

use std::collections::BTreeSet;

use strum::VariantArray as _;
use utoipa::openapi::path::{Operation, Parameter, ParameterIn};
use utoipa::openapi::schema::{AdditionalProperties, Array, ArrayItems, SchemaType};
use utoipa::openapi::{
    KnownFormat, Object, ObjectBuilder, OpenApi, RefOr, Required, Schema, SchemaFormat, Type, request_body::RequestBody,
};

use super::operations;
use crate::http::scope::Scope;

/// The form of a text. A `format` is a name that only people and tests understand, where no pattern says what is valid.
struct Form {
    names: &'static [&'static str],
    format: Option<&'static str>,
    pattern: Option<&'static str>,
    /// In characters.
    length: Option<(usize, usize)>,
}

const fn format(names: &'static [&'static str], format: &'static str) -> Form {
    Form { names, format: Some(format), pattern: None, length: None }
}

const fn pattern(names: &'static [&'static str], pattern: &'static str) -> Form {
    Form { names, format: None, pattern: Some(pattern), length: None }
}

const WITHOUT_NUL: &str = r"^[^\x00]*$";

const FORMS: [Form; 13] = [
    format(&["phoneNumber", "smsFrom"], "phone-number"),
    format(&["timezone"], "time-zone"),
    format(&["language"], "language-tag"),
    format(&["url"], "uri"),
    format(&["cursor"], "cursor"),
    pattern(&["campaignId"], "^[A-Za-z0-9_-]{1,64}$"),
    pattern(&["startTime", "endTime"], "^([01]?[0-9]|2[0-3]):[0-5][0-9]$"),
    pattern(&["day"], "^(MONDAY|TUESDAY|WEDNESDAY|THURSDAY|FRIDAY|SATURDAY|SUNDAY)$"),
    pattern(&["Idempotency-Key"], r#"^("[ !#-~]{1,255}"|[!#-~]([ !#-~]{0,253}[!#-~])?)$"#),
    Form { names: &["externalId"], format: None, pattern: Some(r"^[^\x00-\x1f\x7f-\x9f]*$"), length: Some((1, 128)) },
    pattern(&["rate"], "^(1000000|[1-9][0-9]{0,5})/(s|min|h)$"),
    Form {
        names: &["name"],
        format: None,
        pattern: Some(r"^[^\s\x00-\x1f\x7f-\x9f]([^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f])?$"),
        length: Some((1, 100)),
    },
    Form { names: &["action", "actor"], format: None, pattern: Some(WITHOUT_NUL), length: Some((1, 200)) },
];

/// Adds the limits of all requests.
pub fn add_limits(api: &mut OpenApi) {
    for item in api.paths.paths.values_mut() {
        operations(item).for_each(limit_operation);
    }
    let Some(components) = &mut api.components else { return };
    let bodies =
        api.paths.paths.values_mut().flat_map(operations).filter_map(|operation| operation.request_body.as_ref());
    let mut named: Vec<String> = bodies.flat_map(references).collect();
    let mut seen = BTreeSet::new();
    while let Some(name) = named.pop() {
        let Some(RefOr::T(schema)) = components.schemas.get_mut(&name) else { continue };
        if seen.insert(name) {
            named.extend(references(schema));
            if let Schema::Object(object) = schema {
                limit_members(object);
            }
        }
    }
}

/// The names of the schemas that a part of the document refers to.
fn references(part: &impl serde::Serialize) -> Vec<String> {
    let text = serde_json::to_string(part).unwrap_or_default();
    let after = text.split("\"#/components/schemas/").skip(1);
    after.filter_map(|rest| rest.split_once('"')).map(|(name, _)| name.to_owned()).collect()
}

fn limit_operation(operation: &mut Operation) {
    for parameter in operation.parameters.iter_mut().flatten() {
        if let RefOr::T(parameter) = parameter {
            limit_parameter(parameter);
        }
    }
    if let Some(RefOr::T(body)) = &mut operation.request_body {
        without_null(body);
    }
}

fn limit_parameter(parameter: &mut Parameter) {
    let Some(RefOr::T(Schema::Object(object))) = &mut parameter.schema else { return };
    // An optional parameter is left out; it is never null.
    if let SchemaType::Array(types) = &object.schema_type
        && let Some(kind) = types.iter().find(|kind| **kind != Type::Null)
    {
        object.schema_type = SchemaType::Type(kind.clone());
    }
    if parameter.name == "limit" {
        (object.minimum, object.maximum) = (Some(1.into()), Some(200.into()));
    }
    limit_text(&parameter.name, object);
    if parameter.parameter_in == ParameterIn::Query && is_text(object) && object.format.is_none() {
        object.min_length.get_or_insert(1);
    }
}

/// A body that may be left out is not null either.
fn without_null(body: &mut RequestBody) {
    for content in body.content.values_mut() {
        let RefOr::T(content) = content else { continue };
        if let Some(RefOr::T(Schema::OneOf(choice))) = &content.schema
            && let Some(reference) = choice.items.iter().find(|item| matches!(item, RefOr::Ref(_)))
        {
            content.schema = Some(reference.clone());
            body.required = Some(Required::False);
        }
    }
}

fn limit_members(object: &mut Object) {
    if !object.properties.is_empty() {
        object.additional_properties = Some(Box::new(AdditionalProperties::FreeForm(false)));
    }
    for (name, member) in &mut object.properties {
        if let RefOr::T(Schema::Array(array)) = member {
            limit_items(name, array);
        }
        let RefOr::T(Schema::Object(member)) = member else { continue };
        limit_text(name, member);
        limit_number(member);
        match name.as_str() {
            "metadata" => limit_metadata(member),
            "url" => member.max_length = Some(2048),
            "description" => {
                (member.max_length, member.pattern) = (Some(200), Some(WITHOUT_NUL.to_owned()));
            }
            _ => {}
        }
    }
}

fn limit_items(name: &str, array: &mut Array) {
    let ArrayItems::RefOrSchema(items) = &mut array.items else { return };
    let RefOr::T(Schema::Object(item)) = &mut **items else { return };
    match name {
        "campaigns" => limit_text("campaignId", item),
        "scopes" => item.enum_values = Some(Scope::VARIANTS.iter().map(|scope| scope.as_str().into()).collect()),
        _ => {}
    }
}

fn limit_text(name: &str, object: &mut Object) {
    // A campaign that is paused or resumed has a UUID.
    if !is_text(object) || object.format.is_some() {
        return;
    }
    let Some(form) = FORMS.iter().find(|form| form.names.contains(&name)) else { return };
    object.format = form.format.map(|format| SchemaFormat::Custom(format.to_owned()));
    object.pattern = form.pattern.map(str::to_owned);
    (object.min_length, object.max_length) = form.length.unzip();
}

fn is_text(object: &Object) -> bool {
    match &object.schema_type {
        SchemaType::Type(kind) => *kind == Type::String,
        SchemaType::Array(kinds) => kinds.contains(&Type::String),
        SchemaType::AnyValue => false,
    }
}

/// Rust's `u32` has more numbers than the document's `int32`.
fn limit_number(object: &mut Object) {
    let is_int32 = matches!(object.format, Some(SchemaFormat::KnownFormat(KnownFormat::Int32)));
    if is_int32 && object.minimum.is_some() && object.maximum.is_none() {
        object.format = Some(SchemaFormat::KnownFormat(KnownFormat::Int64));
        object.maximum = Some(u32::MAX.into());
    }
}

fn limit_metadata(object: &mut Object) {
    let text = || ObjectBuilder::new().schema_type(Type::String).pattern(Some(WITHOUT_NUL));
    let (key, value) = (text().min_length(Some(1)).max_length(Some(40)), text().max_length(Some(500)));
    object.max_properties = Some(20);
    object.property_names = Some(Box::new(key.build().into()));
    object.additional_properties = Some(Box::new(AdditionalProperties::RefOr(Schema::from(value.build()).into())));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_that_is_a_uuid_keeps_its_form() {
        let uuid = SchemaFormat::KnownFormat(KnownFormat::Uuid);
        let mut object = ObjectBuilder::new().schema_type(Type::String).format(Some(uuid)).build();
        limit_text("campaignId", &mut object);
        assert_eq!(object.pattern, None);
        object.format = None;
        limit_text("campaignId", &mut object);
        assert_eq!(object.pattern.as_deref(), Some("^[A-Za-z0-9_-]{1,64}$"));
    }
}
