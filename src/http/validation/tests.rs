use serde::Deserialize;
use validator::{Validate, ValidateArgs};

use super::*;
use crate::http::parse_json;

struct Context {
    name: &'static str,
}

#[derive(Deserialize, Validate)]
#[serde(rename_all = "camelCase")]
#[validate(context = Context)]
#[validate(schema(function = "not_both", skip_on_field_errors = false))]
struct Greeting {
    #[serde(default)]
    #[validate(required, custom(function = "first_name", use_context))]
    first_name: Member<String>,
    #[serde(default)]
    #[validate(range(min = 1, max = 9))]
    times: Member<u32>,
    #[serde(default)]
    #[validate(length(max = 2), nested)]
    copies: Member<Vec<Member<Copy>>>,
    #[serde(default)]
    #[validate(custom(function = "typed"))]
    loud: Member<bool>,
    #[serde(flatten)]
    #[validate(nested)]
    unknown: Unknown,
}

#[derive(Deserialize, Validate)]
struct Copy {
    #[serde(default)]
    #[validate(required, length(min = 1, code = "too-short", message = "must not be empty"))]
    to: Member<String>,
    #[serde(flatten)]
    #[validate(nested)]
    unknown: Unknown,
}

impl JsonType for Copy {
    const NAME: &'static str = "an object";
}

fn first_name(member: &Member<String>, context: &Context) -> Result<(), ValidationError> {
    member.parse(
        |name| {
            if name == context.name { Ok(name.clone()) } else { Err(Fault::new("unknown-name", "must be Ada")) }
        },
    )
}

fn not_both(greeting: &Greeting) -> Result<(), ValidationError> {
    if greeting.loud.value() == Some(&true) && !greeting.times.is_absent() {
        return Err(fault_at("times", Fault::new("not-both", "must be absent where loud is true")));
    }
    Ok(())
}

fn faults(json: &str) -> Vec<String> {
    let greeting: Greeting = parse_json(json.as_bytes()).unwrap();
    let mut faults = Faults::new();
    faults.check(greeting.validate_with_args(&Context { name: "Ada" }));
    faults.0.into_iter().map(|fault| format!("{} {} {}", fault.pointer, fault.code, fault.detail)).collect()
}

#[test]
fn every_fault_is_found_at_once_at_its_pointer() {
    assert_eq!(faults(r#"{"firstName": "Ada", "times": 9, "copies": [{"to": "x"}], "loud": false}"#), [""; 0]);
    assert_eq!(faults("{}"), ["/firstName required is required"]);
    assert_eq!(
        faults(
            r#"{"firstName": "Bob", "times": 10, "a/b~c": 1, "loud": true, "copies": [7, {"to": "", "first_x": 1}]}"#
        ),
        [
            "/a~1b~0c unknown-member is not a member of this request",
            "/copies/0 wrong-type must be an object",
            "/copies/1/first_x unknown-member is not a member of this request",
            "/copies/1/to too-short must not be empty",
            "/firstName unknown-name must be Ada",
            "/times out-of-range must be from 1 to 9",
            "/times not-both must be absent where loud is true",
        ]
    );
}

#[test]
fn of_many_unknown_members_the_first_are_named() {
    let members = |count: usize| (0..count).map(|n| format!(r#""m{n:03}": 0"#)).collect::<Vec<_>>().join(", ");
    let found = |count| faults(&format!(r#"{{"firstName": "Ada", {}}}"#, members(count)));
    let (all, first) = (found(20), found(23));
    assert_eq!((all.len(), first.len()), (20, 20));
    assert_eq!(all[19], "/m019 unknown-member is not a member of this request");
    assert_eq!(first[19], "/m019 unknown-member is not a member of this request; 3 more are not listed");
}

#[test]
fn a_problem_lists_a_thousand_faults_and_counts_all() {
    let mut faults = Faults::new();
    (0..1_001).for_each(|n| faults.add(&n.to_string(), Fault::new("bad", "is bad")));
    let problem = faults.finish().unwrap_err();
    assert_eq!(problem.fault_codes().len(), 1_000);
    let body = problem.body(None, None);
    assert_eq!(body["detail"], "1001 faults; see the first 1000 in errors");
}

#[test]
fn a_member_of_the_wrong_type_is_one_fault() {
    assert_eq!(
        faults(r#"{"firstName": 7, "times": "1", "copies": {}, "loud": "yes"}"#),
        [
            "/copies wrong-type must be an array",
            "/firstName wrong-type must be a string",
            "/loud wrong-type must be true or false",
            "/times wrong-type must be a whole number, not negative",
        ]
    );
    assert_eq!(
        faults(r#"{"firstName": "Ada", "copies": [{}, {}, {}]}"#),
        ["/copies out-of-range must have at most 2 elements"]
    );
}

#[test]
fn a_parsed_value_is_kept() {
    let greeting: Greeting = parse_json(br#"{"firstName": "Ada"}"#).unwrap();
    greeting.validate_with_args(&Context { name: "Ada" }).unwrap();
    assert_eq!(greeting.first_name.into_parsed().as_deref(), Some("Ada"));
}

#[test]
fn a_whole_number_may_be_written_as_a_float() {
    let read = |json: &str| serde_json::from_str::<Member<u32>>(json).unwrap().into_value();
    for (json, expected) in [
        ("7", Some(7)),
        ("7.0", Some(7)),
        ("-0.0", Some(0)),
        ("4294967295.0", Some(u32::MAX)),
        ("7.5", None),
        ("-1", None),
        ("-1.0", None),
        ("4294967296", None),
        ("1e300", None),
        ("\"7\"", None),
    ] {
        assert_eq!(read(json), expected, "{json}");
    }
}
