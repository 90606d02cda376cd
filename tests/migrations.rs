//! Migrations run while replicas use the tables: none may lock a large table for long. docs/upgrade.md has the rules. A
//! statement that breaks one has the reason in a comment `-- online: …` directly before it.

#![cfg(test)]

use std::fs;
use std::path::Path;

use regex::Regex;

/// Merged before the rules, and never edited.
const LAST_WITHOUT_RULES: u32 = 53;
/// Tables that may have millions of rows.
const LARGE: &str =
    r"(only )?(callbacks|audit_entries\w*|audit_log_\w+|webhook_events|webhook_deliveries|idempotency_\w+)\b";

const CHANGE_IN_STEPS: &str = "change the rows in steps, in the service";
/// What a statement must not do, and what to do instead. `LARGE` stands for the tables.
const STATEMENTS: [(&str, &str); 3] = [
    (
        r"^create (unique )?index (if not exists )?\w+ on LARGE",
        "create the index concurrently, in a migration of its own",
    ),
    (r"^(update|delete from|truncate|lock table|lock|cluster|vacuum full) LARGE", CHANGE_IN_STEPS),
    (r"^create (constraint )?trigger .* on LARGE", "say how long the lock is held: it stops writers"),
];
/// What a part of `alter table` of a large table must not do, and what to do instead.
const ALTERATIONS: [(&str, &str); 5] = [
    (r"^alter .* set not null", "add a check that is not valid, validate it in the next migration, then set not null"),
    (r"^alter .* type ", "add another column: the table is rewritten"),
    (
        r"^add constraint .*\bexclude\b",
        "give it a condition that leaves old rows out, and say how long the lock is held",
    ),
    (
        r"^add constraint \w+ (unique|primary key) \(",
        "create the index concurrently, and add the constraint `using index`",
    ),
    (
        r"^add (column )?\w+ \w.*\b(check|unique|primary key|references|generated|random|gen_random_uuid|clock_timestamp)\b",
        "add the column without it: all rows are read or rewritten",
    ),
];
const NOT_VALID: &str = "add the constraint `not valid`, and validate it in the next migration";

/// What is wrong with a migration, a line for each fault.
fn faults(sql: &str) -> Vec<String> {
    let statements = statements(sql);
    let alterations: Vec<_> = statements.iter().map(|statement| alterations(&statement.text)).collect();
    let only_validates = alterations
        .iter()
        .all(|parts| !parts.is_empty() && parts.iter().all(|part| part.starts_with("validate constraint ")));
    let mut faults = Vec::new();
    for (statement, parts) in statements.iter().zip(&alterations).filter(|(statement, _)| !statement.is_justified) {
        faults.extend(broken(&STATEMENTS, &statement.text));
        for part in parts {
            let is_constraint = part.starts_with("add constraint ");
            if is_constraint && matches(r"\b(check|foreign key)\b", part) && !part.ends_with(" not valid") {
                faults.push(format!("{NOT_VALID}: {part}"));
            } else if is_constraint || !part.starts_with("validate constraint ") {
                let rules = if is_constraint { &ALTERATIONS[2..4] } else { &ALTERATIONS[..] };
                faults.extend(broken(rules, part));
            } else if !only_validates {
                faults.push(format!("validate in a migration of its own, which stops no writers: {part}"));
            }
        }
    }
    let is_concurrent = statements.iter().any(|statement| statement.text.contains(" concurrently "));
    if is_concurrent && (statements.len() != 1 || !sql.starts_with("-- no-transaction\n")) {
        faults
            .push("`concurrently` needs the first line `-- no-transaction`, and no other statement in its file".into());
    }
    faults
}

fn broken<'a>(rules: &'a [(&str, &str)], text: &'a str) -> impl Iterator<Item = String> + 'a {
    let broken = rules.iter().filter(move |(pattern, _)| matches(pattern, text));
    broken.map(move |(_, instead)| format!("{instead}: {text}"))
}

fn matches(pattern: &str, text: &str) -> bool {
    Regex::new(&pattern.replace("LARGE", LARGE)).unwrap().is_match(text)
}

/// The parts of `alter table` of a large table, which commas outside of parentheses separate.
fn alterations(text: &str) -> Vec<String> {
    let alter = Regex::new(&format!("^alter table {LARGE}")).unwrap();
    let Some(table) = alter.find(text) else { return Vec::new() };
    let (mut parts, mut depth) = (vec![String::new()], 0);
    for character in text[table.end()..].trim_end_matches(';').chars() {
        match character {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        if character == ',' && depth == 0 {
            parts.push(String::new());
        } else {
            parts.last_mut().unwrap().push(character);
        }
    }
    parts.iter().map(|part| part.trim().to_owned()).collect()
}

struct Statement {
    /// In lower case, without comments and with single spaces.
    text: String,
    /// A comment gives the reason why it does not lock for long.
    is_justified: bool,
}

/// The statements of a migration. Those in a `do` block count as its own; functions only define theirs.
fn statements(sql: &str) -> Vec<Statement> {
    let (mut statements, mut text, mut is_justified, mut is_in_function) = (Vec::new(), String::new(), false, false);
    for line in sql.lines() {
        is_justified |= line.trim_start().starts_with("-- online: ") && text.is_empty();
        let code = line.split("--").next().unwrap().trim().to_lowercase();
        let is_start =
            text.is_empty() && (code.starts_with("create function") || code.starts_with("create or replace function"));
        if code.contains("$$") {
            is_in_function =
                (is_start || text.contains(" function ")) && code.matches("$$").count() == 1 && !is_in_function;
        }
        text.push_str(&code);
        text.push(' ');
        if code.ends_with(';') && !is_in_function {
            let whole = text.trim().trim_start_matches("do $$ begin ").to_owned();
            statements.push(Statement { text: whole, is_justified });
            (text, is_justified) = (String::new(), false);
        } else if text.trim().is_empty() {
            text.clear();
        }
    }
    statements
}

#[test]
fn new_migrations_lock_no_large_table_for_long() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let number: u32 = name.split('_').next().unwrap().parse().unwrap();
        if number > LAST_WITHOUT_RULES {
            let faults = faults(&fs::read_to_string(&path).unwrap());
            found.extend(faults.into_iter().map(|fault| format!("{name}: {fault}")));
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn each_statement_that_locks_a_large_table_for_long_is_found() {
    for sql in [
        "create index a on callbacks (status);",
        "create unique index a\n    on webhook_events (id);",
        "create index concurrently a on callbacks (status);",
        "-- no-transaction\ncreate index concurrently a on callbacks (status);\nselect 1;",
        "alter table callbacks alter column language set not null;",
        "alter table callbacks\n    add column a text check (a <> ''),\n    add column b text;",
        "alter table callbacks add column a uuid default gen_random_uuid();",
        "alter table audit_entries add constraint a check (seq > 0);",
        "alter table callbacks add constraint a check (b) not valid, add constraint c check (d);",
        "alter table callbacks add column a text;\nalter table callbacks validate constraint b;",
        "alter table callbacks alter column attempts type bigint;",
        "alter table callbacks add constraint a exclude using gist (id with =);",
        "update callbacks set status = 'failed';",
        "do $$\nbegin\n    update callbacks set status = 'failed';\nend $$;",
        "create trigger a after insert on callbacks for each row execute function b();",
    ] {
        assert_eq!(faults(sql).len(), 1, "{sql}: {:?}", faults(sql));
    }
}

#[test]
fn statements_that_lock_briefly_or_say_why_are_accepted() {
    for sql in [
        "create table a (id int primary key, b text not null check (b <> ''));\ncreate index c on a (b);",
        "-- no-transaction\n-- Why.\ncreate index concurrently a on callbacks (status);",
        "alter table callbacks\n    add column a text, -- with a comment\n    add column b integer not null default 0,\n    \
         add constraint c check (a <> '') not valid,\n    add constraint d check (b > 0) not valid;",
        "alter table callbacks\n    validate constraint a,\n    validate constraint b;",
        "create or replace function a() returns trigger language plpgsql as $$\nbegin\n    update callbacks set a = 1;\n    \
         return new;\nend $$;\ncomment on column callbacks.a is 'A check';",
        "-- online: the table is empty in every version before this one.\ncreate index a on webhook_events (id);",
        "update campaigns set a = 1;",
    ] {
        assert_eq!(faults(sql), Vec::<String>::new(), "{sql}");
    }
}
