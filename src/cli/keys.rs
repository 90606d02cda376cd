//! `ringback keys`

use std::str::FromStr as _;

use anyhow::{Context as _, bail};
use clap::Subcommand;
use jiff::{SignedDuration, Span, SpanRelativeTo, Timestamp};
use uuid::Uuid;

use self::list::print;
use crate::audit::{self, Actor};
use crate::clock::Clock;
use crate::config::{DatabaseArgs, Given, SettingErrors, keep, parsed};
use crate::db::{self, Db, SharedTime};
use crate::http::Scope;
use crate::keys::{self, Author, Grant, KeySecret, KeyStore, MAX_CAMPAIGNS, NewKey, Rotated};
use crate::types::{AllowedCampaigns, CampaignId, Rate};

mod list;

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
        #[arg(long, value_parser = parsed(keys::parse_name))]
        name: Given<String>,
        /// A scope of the key; repeat it for several
        #[arg(long = "scope", required = true, value_parser = keep(Scope::from_str))]
        scopes: Vec<Given<Scope>>,
        /// A campaign to which the key is restricted; repeat it for several
        #[arg(long = "campaign", value_parser = parsed(CampaignId::parse), value_name = "ID")]
        campaigns: Vec<Given<CampaignId>>,
        /// The requests that it may send, such as 50/s, 600/min or 1000/h; without it, any number
        #[arg(long, value_parser = parsed(Rate::parse))]
        rate: Option<Given<Rate>>,
        /// How long it is valid, such as 90d or 12h; without it, it does not expire
        #[arg(long, value_parser = keep(parse_span))]
        expires_in: Option<Given<Span>>,
    },
    /// List the keys, newest first, without their secrets
    List {
        /// A key in each line, as JSON
        #[arg(long)]
        json: bool,
    },
    /// Replace a key by a new one that allows the same, and print the new one
    Rotate {
        /// Its id, as in the list
        #[arg(value_parser = keep(parse_id))]
        id: Given<Uuid>,
        /// How long the old key still works, such as 24h; 0s ends it at once
        #[arg(long, default_value = "24h", value_parser = keep(parse_grace))]
        grace: Given<SignedDuration>,
    },
    /// Revoke a key
    Revoke {
        /// Its id, as in the list
        #[arg(value_parser = keep(parse_id))]
        id: Given<Uuid>,
    },
}

/// What a new key is to allow.
struct Requested {
    scopes: Vec<Scope>,
    campaigns: Vec<CampaignId>,
    rate: Option<Rate>,
    expires_in: Option<Span>,
}

impl Requested {
    fn grant(self, now: Timestamp) -> anyhow::Result<Grant> {
        if self.campaigns.len() > MAX_CAMPAIGNS {
            bail!("a key is restricted to at most {MAX_CAMPAIGNS} campaigns");
        }
        let campaigns =
            if self.campaigns.is_empty() { AllowedCampaigns::all() } else { AllowedCampaigns::only(self.campaigns) };
        let expires_at = self.expires_in.map(|span| after(now, span)).transpose()?;
        Ok(Grant::new(self.scopes, campaigns, self.rate, expires_at))
    }
}

/// All values, or none after adding errors.
fn all<T>(errors: &mut SettingErrors, given: Vec<Given<T>>) -> Option<Vec<T>> {
    let values: Vec<Option<T>> = given.into_iter().map(|value| errors.take(value)).collect();
    values.into_iter().collect()
}

/// An action whose arguments are valid.
enum Task {
    Create { name: String, grant: Requested },
    List { json: bool },
    Rotate { id: Uuid, grace: SignedDuration },
    Revoke { id: Uuid },
}

impl Action {
    /// The action, or none after adding errors.
    fn read(self, errors: &mut SettingErrors) -> Option<Task> {
        Some(match self {
            Self::Create { name, scopes, campaigns, rate, expires_in } => {
                let name = errors.take(name);
                let scopes = all(errors, scopes);
                let campaigns = all(errors, campaigns);
                let rate = errors.take(rate.transpose());
                let expires_in = errors.take(expires_in.transpose());
                let grant = Requested { scopes: scopes?, campaigns: campaigns?, rate: rate?, expires_in: expires_in? };
                Task::Create { name: name?, grant }
            }
            Self::List { json } => Task::List { json },
            Self::Rotate { id, grace } => {
                let (id, grace) = (errors.take(id), errors.take(grace));
                Task::Rotate { id: id?, grace: grace? }
            }
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
        db::migrate_or_check(&database).await?;
        let db = db::connect(&database, db::ONE_CONNECTION).await.context("Postgres cannot be reached")?;
        let time = SharedTime::follow(&db, Clock::system()).await.context("Postgres does not say what time it is")?;
        let clock = time.clock();
        let author = Author { clock: &clock, actor: Actor::operator(), request_id: None };
        task.run(&db, &author).await?;
        db.close().await;
        Ok(())
    }
}

impl Task {
    async fn run(self, db: &Db, author: &Author<'_>) -> anyhow::Result<()> {
        let (store, now) = (KeyStore::new(db.clone()), author.clock.now());
        match self {
            Self::Create { name, grant } => {
                let secret = create(&store, author, name, grant.grant(now)?).await?;
                println!("{}", secret.reveal());
            }
            Self::List { json } => print(&store.list().await?, now, json)?,
            Self::Rotate { id, grace } => rotate(db, &store, author, id, grace).await?,
            Self::Revoke { id } => {
                if !store.revoke(id, now, keys::revoked(author, id)).await? {
                    audit::record(db, keys::refused(author, "keys revoke", "not-found", id)).await?;
                    bail!("no key {id} that is not revoked already; `ringback keys list` shows them");
                }
            }
        }
        Ok(())
    }
}

/// Creates a key and stores its hash.
pub async fn create(store: &KeyStore, author: &Author<'_>, name: String, grant: Grant) -> anyhow::Result<KeySecret> {
    let secret = KeySecret::generate().context("the operating system gives no randomness")?;
    let key = NewKey { id: author.clock.new_id(), name, grant };
    store.create(&key, &secret, author.clock.now(), keys::created(author, &key)).await?;
    Ok(secret)
}

/// Prints the new secret alone on stdout, and the ids on stderr.
async fn rotate(db: &Db, store: &KeyStore, author: &Author<'_>, id: Uuid, grace: SignedDuration) -> anyhow::Result<()> {
    let now = author.clock.now();
    let old_ends_at = now.checked_add(grace).context("the time is too far away")?;
    let Some(old) = store.get(id).await?.filter(|old| old.is_valid(now)) else {
        audit::record(db, keys::refused(author, "keys rotate", "not-found", id)).await?;
        bail!("no key {id} that is valid; `ringback keys list` shows them");
    };
    let secret = KeySecret::generate().context("the operating system gives no randomness")?;
    let new = author.clock.new_id();
    let entry = keys::rotated(author, (id, new), &old.name, &old.grant, old_ends_at);
    match store.rotate((id, new), &secret, now, old_ends_at, entry).await? {
        Rotated::Done => {
            println!("{}", secret.reveal());
            let ends_at = old.grant.expires_at.map_or(old_ends_at, |end| end.min(old_ends_at));
            anstream::eprintln!("key {new} replaces {id}, which works until {ends_at}");
            Ok(())
        }
        Rotated::Before | Rotated::NotFound => {
            audit::record(db, keys::refused(author, "keys rotate", "key-already-rotated", id)).await?;
            bail!("another key replaces {id} already; `ringback keys list` shows it");
        }
    }
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

fn parse_grace(text: &str) -> Result<SignedDuration, &'static str> {
    let span: Span = text.parse().map_err(|_| "must be a time such as 24h or 0s")?;
    let counted = span.to_duration(SpanRelativeTo::days_are_24_hours());
    let grace = counted.ok().filter(|grace| !grace.is_negative() && *grace <= SignedDuration::from_hours(30 * 24));
    grace.ok_or("must be a time from 0s to 30d")
}

fn parse_id(text: &str) -> Result<Uuid, &'static str> {
    text.parse().map_err(|_| "must be the id of a key, as `ringback keys list` shows it")
}
