//! `ringback keys`

use std::str::FromStr as _;

use anyhow::{Context as _, bail};
use clap::Subcommand;
use jiff::{Span, SpanRelativeTo, Timestamp};
use serde::Serialize;
use uuid::Uuid;

use crate::audit::{self, Actor, Entry, Outcome};
use crate::clock::Clock;
use crate::config::{DatabaseArgs, Given, SettingErrors, keep};
use crate::db::{self, SharedTime};
use crate::http::Scope;
use crate::keys::{KeyRecord, KeySecret, KeyStore, NewKey};

#[derive(clap::Args)]
pub struct Keys {
    #[command(flatten)]
    database: DatabaseArgs,
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Create a key and print it
    Create {
        /// Its name
        #[arg(long, value_parser = keep(parse_name))]
        name: Given<String>,
        /// A scope of the key; repeat it for several
        #[arg(long = "scope", required = true, value_parser = keep(Scope::from_str))]
        scopes: Vec<Given<Scope>>,
        /// How long it is valid, such as 90d or 12h; without it, it does not expire
        #[arg(long, value_parser = keep(parse_span))]
        expires_in: Option<Given<Span>>,
    },
    /// List the keys, newest first, without their secrets
    List,
    /// Revoke a key
    Revoke {
        /// Its id, as in the list
        #[arg(value_parser = keep(parse_id))]
        id: Given<Uuid>,
    },
}

/// An action whose arguments are valid.
enum Task {
    Create { name: String, scopes: Vec<Scope>, expires_in: Option<Span> },
    List,
    Revoke { id: Uuid },
}

impl Action {
    /// The action, or none after adding errors.
    fn read(self, errors: &mut SettingErrors) -> Option<Task> {
        Some(match self {
            Self::Create { name, scopes, expires_in } => {
                let name = errors.take(name);
                let scopes: Vec<Option<Scope>> = scopes.into_iter().map(|scope| errors.take(scope)).collect();
                let expires_in = errors.take(expires_in.transpose());
                Task::Create {
                    name: name?,
                    scopes: scopes.into_iter().collect::<Option<_>>()?,
                    expires_in: expires_in?,
                }
            }
            Self::List => Task::List,
            Self::Revoke { id } => Task::Revoke { id: errors.take(id)? },
        })
    }
}

impl Keys {
    /// Runs the command.
    pub async fn run(self) -> anyhow::Result<()> {
        let mut errors = SettingErrors::default();
        let given = self.database.read(&mut errors).zip(self.action.read(&mut errors));
        let (database, task) = errors.finish(given)?;
        let db = db::connect(&database, db::FEW_CONNECTIONS).await.context("Postgres cannot be reached")?;
        db::migrate(&database).await.context("the schema could not be brought up to date")?;
        let time = SharedTime::follow(&db, Clock::system()).await.context("Postgres does not say what time it is")?;
        let (store, clock) = (KeyStore::new(db.clone()), time.clock());
        match task {
            Task::Create { name, scopes, expires_in } => {
                let expires_at = expires_in.map(|span| after(clock.now(), span)).transpose()?;
                let secret = create(&store, &clock, Actor::operator(), name, scopes, expires_at).await?;
                println!("{}", secret.reveal());
            }
            Task::List => store.list().await?.iter().for_each(|key| println!("{}", line(key, clock.now()))),
            Task::Revoke { id } => {
                let entry = entry(&clock, audit::Action::KeyRevoked, Actor::operator(), &RevokedDetail { key_id: id });
                if !store.revoke(id, clock.now(), entry).await? {
                    audit::record(&db, revoke_refused(&clock, id)).await?;
                    bail!("no key {id} that is not revoked already; `ringback keys list` shows them");
                }
            }
        }
        db.close().await;
        Ok(())
    }
}

/// Creates a key and stores its hash.
pub async fn create(
    store: &KeyStore,
    clock: &Clock,
    actor: Actor,
    name: String,
    mut scopes: Vec<Scope>,
    expires_at: Option<Timestamp>,
) -> anyhow::Result<KeySecret> {
    scopes.sort_unstable();
    scopes.dedup();
    let secret = KeySecret::generate().context("the operating system gives no randomness")?;
    let key = NewKey { id: clock.new_id(), name, scopes, expires_at };
    let detail = CreatedDetail {
        key_id: key.id,
        name: &key.name,
        scopes: key.scopes.iter().map(|scope| scope.as_str()).collect(),
        expires_at: key.expires_at,
    };
    let entry = entry(clock, audit::Action::KeyCreated, actor, &detail);
    store.create(&key, &secret, clock.now(), entry).await?;
    Ok(secret)
}

/// The detail of a key that was created.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CreatedDetail<'a> {
    key_id: Uuid,
    name: &'a str,
    scopes: Vec<&'static str>,
    expires_at: Option<Timestamp>,
}

/// The detail of a key that was revoked.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RevokedDetail {
    key_id: Uuid,
}

/// The detail of a key that could not be revoked.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RevokeRefusedDetail {
    command: &'static str,
    problem: &'static str,
    key_id: Uuid,
}

fn revoke_refused(clock: &Clock, key_id: Uuid) -> Entry {
    let detail = RevokeRefusedDetail { command: "keys revoke", problem: "not-found", key_id };
    let entry = entry(clock, audit::Action::RequestRefused, Actor::operator(), &detail);
    Entry { outcome: Outcome::Refused, ..entry }
}

fn entry(clock: &Clock, action: audit::Action, actor: Actor, detail: &impl Serialize) -> Entry {
    Entry::new(clock.new_id(), clock.now(), action, actor, Outcome::Succeeded).with_detail(detail)
}

fn line(key: &KeyRecord, now: Timestamp) -> String {
    let state = match (key.revoked_at, key.expires_at) {
        (Some(at), _) => format!("revoked {at}"),
        (None, Some(at)) if at <= now => format!("expired {at}"),
        (None, Some(at)) => format!("until {at}"),
        (None, None) => "valid".into(),
    };
    let scopes: Vec<_> = key.scopes.iter().map(|scope| scope.as_str()).collect();
    format!("{}  {}  {}  {}  {}", key.id, key.created_at, state, key.name, scopes.join(","))
}

fn after(now: Timestamp, span: Span) -> anyhow::Result<Timestamp> {
    let duration = span.to_duration(SpanRelativeTo::days_are_24_hours()).context("the time cannot be counted")?;
    now.checked_add(duration).context("the time is too far away")
}

fn parse_span(text: &str) -> Result<Span, String> {
    let span: Span = text.parse().map_err(|_| "must be a time such as 90d or 12h")?;
    let counted = span.to_duration(SpanRelativeTo::days_are_24_hours());
    if counted.is_ok_and(|duration| duration.is_positive()) {
        return Ok(span);
    }
    Err("must be a time in the future, in days, hours, minutes or seconds".into())
}

fn parse_id(text: &str) -> Result<Uuid, &'static str> {
    text.parse().map_err(|_| "must be the id of a key, as `ringback keys list` shows it")
}

fn parse_name(text: &str) -> Result<String, String> {
    let name = text.trim();
    if (1..=100).contains(&name.chars().count()) && !name.contains('\0') {
        return Ok(name.to_owned());
    }
    Err("must be 1 to 100 characters".into())
}
