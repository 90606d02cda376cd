//! Pages of a list, newest first, and the opaque cursors that continue them.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

/// The page that is requested.
#[derive(Debug)]
pub struct PageRequest<P> {
    /// The maximum number of rows, 1 to 200.
    pub limit: i64,
    /// Only rows after this position.
    pub after: Option<P>,
}

/// The position of a row in a list that is sorted by creation time and id, both descending.
#[derive(Debug, Serialize, Deserialize)]
pub struct CreatedPosition<Id> {
    /// A cursor may have any time, but Postgres has no year before 4713 BC.
    #[serde(deserialize_with = "within_postgres_range")]
    pub created_at: Timestamp,
    pub id: Id,
}

/// The position of a row in a list that is sorted by sequence number, descending.
#[derive(Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SequencePosition(pub i64);

fn within_postgres_range<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
    let instant = Timestamp::deserialize(deserializer)?;
    if instant < Timestamp::UNIX_EPOCH { Err(D::Error::custom("before 1970")) } else { Ok(instant) }
}

/// Reads a cursor; none where it was not made by [`Page::new`] for the same kind of list.
pub fn decode_cursor<P: DeserializeOwned>(cursor: &str) -> Option<P> {
    let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
    serde_json::from_slice(&bytes).ok()
}

/// One page of a list.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Page<T> {
    /// Newest first.
    pub data: Vec<T>,
    /// Pass it as `cursor` to get the next page; null on the last one.
    #[schema(required)]
    pub next_cursor: Option<String>,
}

impl<T> Page<T> {
    /// A page of at most `limit` of `rows`; one row more than that means that there is a next page.
    pub fn new<P: Serialize>(mut rows: Vec<T>, limit: i64, position: impl Fn(&T) -> P) -> Self {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let has_more = rows.len() > limit;
        rows.truncate(limit);
        let last = rows.last().filter(|_| has_more);
        let next_cursor = last.and_then(|row| Some(URL_SAFE_NO_PAD.encode(serde_json::to_vec(&position(row)).ok()?)));
        Self { data: rows, next_cursor }
    }

    /// The same page with each row converted, or the first error.
    ///
    /// # Errors
    /// Where a row cannot be converted.
    pub fn try_map<U, E>(self, convert: impl FnMut(T) -> Result<U, E>) -> Result<Page<U>, E> {
        let data = self.data.into_iter().map(convert).collect::<Result<_, E>>()?;
        Ok(Page { data, next_cursor: self.next_cursor })
    }

    /// The same page with each row converted.
    pub fn map<U>(self, convert: impl FnMut(T) -> U) -> Page<U> {
        Page { data: self.data.into_iter().map(convert).collect(), next_cursor: self.next_cursor }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_continues_after_the_last_row_and_others_are_refused() {
        let page = Page::new(vec![9, 7, 5], 2, |row| SequencePosition(*row));
        assert_eq!(page.data, [9, 7]);
        let cursor = page.next_cursor.unwrap();
        assert_eq!(decode_cursor::<SequencePosition>(&cursor).unwrap().0, 7);
        assert!(decode_cursor::<CreatedPosition<i64>>(&cursor).is_none());
        assert!(decode_cursor::<SequencePosition>("not a cursor").is_none());
        assert_eq!(Page::new(vec![9, 7], 2, |row| SequencePosition(*row)).next_cursor, None);
    }
}
