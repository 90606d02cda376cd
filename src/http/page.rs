//! Lists in pages: newest first, from an opaque cursor on.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use utoipa::ToSchema;

use super::input::Query;
use crate::db::{Db, Transaction};
use crate::types::Fault;

const DEFAULT_LIMIT: i64 = 50;
const MAX_LIMIT: i64 = 200;

/// The place of a row in its list, as a cursor holds it.
pub trait Position: Sized {
    /// Its text; never shown as it is.
    fn encode(&self) -> String;
    /// From its text; none where it was tampered with.
    fn decode(text: &str) -> Option<Self>;
}

/// Which page is asked for.
#[derive(Debug)]
pub struct PageRequest<P> {
    /// At most so many rows, 1 to 200.
    pub limit: i64,
    /// Only what comes after this.
    pub after: Option<P>,
}

impl<P: Position> PageRequest<P> {
    /// Takes `limit` and `cursor` from a query.
    pub fn take(query: &mut Query) -> Self {
        let limit = query.take("limit", parse_limit).unwrap_or(DEFAULT_LIMIT);
        let after = query.take("cursor", |text| {
            let position = URL_SAFE_NO_PAD.decode(text).ok().and_then(|bytes| P::decode(str::from_utf8(&bytes).ok()?));
            position.ok_or_else(|| Fault::new("not-a-cursor", "must be the nextCursor of an earlier page"))
        });
        Self { limit, after }
    }
}

fn parse_limit(text: &str) -> Result<i64, Fault> {
    let limit = text.parse().ok().filter(|limit| (1..=MAX_LIMIT).contains(limit));
    limit.ok_or_else(|| Fault::new("out-of-range", format!("must be a whole number from 1 to {MAX_LIMIT}")))
}

/// A transaction in which each query is planned for what it is asked. The plan that Postgres would keep for all of a
/// list's filters reads the whole table; one that it kept from when the table was small is as bad.
///
/// # Errors
/// Where Postgres cannot be asked.
pub async fn begin_planned(db: &Db) -> Result<Transaction, sqlx::Error> {
    let mut transaction = db.begin().await?;
    sqlx::query!("set local plan_cache_mode = force_custom_plan").execute(&mut transaction).await?;
    Ok(transaction)
}

/// One page of a list.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Page<T> {
    /// Newest first.
    pub data: Vec<T>,
    /// Pass it as `cursor` to get the next page; null on the last one.
    pub next_cursor: Option<String>,
}

impl<T> Page<T> {
    /// A page of at most `limit` of `rows`; one row more than that tells that there is a next page.
    pub fn of<P: Position>(mut rows: Vec<T>, limit: i64, position: impl Fn(&T) -> P) -> Self {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let more = rows.len() > limit;
        rows.truncate(limit);
        let last = rows.last().filter(|_| more);
        let next_cursor = last.map(|row| URL_SAFE_NO_PAD.encode(position(row).encode()));
        Self { data: rows, next_cursor }
    }

    /// The same page with its rows shown.
    pub fn map<U>(self, show: impl FnMut(T) -> U) -> Page<U> {
        Page { data: self.data.into_iter().map(show).collect(), next_cursor: self.next_cursor }
    }
}
