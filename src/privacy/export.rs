//! Reads what is held about a phone number.

use std::collections::HashMap;

use serde::Serialize;
use uuid::Uuid;

use super::Privacy;
use super::erase::entry;
use crate::audit::{Action, Entry, Filter, Outcome, record};
use crate::callbacks::Callback;
use crate::db::{CreatedPosition, PageRequest};
use crate::http::{IdempotencyStore, KeptAnswer, RequestContext};
use crate::types::PhoneNumber;
use crate::webhooks::KeptEvent;

/// The audit entries of one callback. `GET /v1/audit` has all.
const MOST_ENTRIES: i64 = 200;
/// The requests about persons that are searched for those about one person, for each action.
const MOST_REQUESTS: i64 = 1_000;

/// One page of what is held.
#[derive(Debug)]
pub(super) struct Export {
    pub hash: Option<String>,
    pub requests: Vec<Entry>,
    pub callbacks: Vec<Held>,
    pub next_cursor: Option<String>,
}

/// A callback, with everything that is held about it.
#[derive(Debug)]
pub(super) struct Held {
    pub callback: Callback,
    pub entries: Vec<Entry>,
    pub events: Vec<KeptEvent>,
    pub answers: Vec<KeptAnswer>,
}

/// The detail of the audit entry.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ExportedDetail {
    /// Masked.
    phone_number: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    phone_number_hash: Option<String>,
    callbacks: usize,
}

impl Privacy {
    /// One page of the callbacks of a number, newest first. Leaves an audit entry.
    pub(super) async fn export(
        &self,
        number: &PhoneNumber,
        page: &PageRequest<CreatedPosition<Uuid>>,
        context: &RequestContext,
    ) -> Result<Export, sqlx::Error> {
        let hashes = self.callbacks.numbers.hashes(number);
        let found = self.reports.callbacks.of_person(Some(number), &hashes, page).await?;
        let requests = if page.after.is_none() { self.requests_about(&hashes).await? } else { Vec::new() };
        let hash = self.callbacks.numbers.hash(number);
        let callbacks = self.with_all_that_is_held(found.data).await?;
        let detail = ExportedDetail {
            phone_number: number.masked(),
            phone_number_hash: hash.clone(),
            callbacks: callbacks.len(),
        };
        record(&self.db, entry(Action::PrivacyExported, Outcome::Succeeded, &detail, context)).await?;
        Ok(Export { hash, requests, callbacks, next_cursor: found.next_cursor })
    }

    async fn with_all_that_is_held(&self, callbacks: Vec<Callback>) -> Result<Vec<Held>, sqlx::Error> {
        let ids: Vec<Uuid> = callbacks.iter().map(|callback| callback.id).collect();
        let mut events: HashMap<Uuid, Vec<KeptEvent>> = HashMap::new();
        for event in self.reports.webhooks.events_about(&ids).await? {
            events.entry(event.callback).or_default().push(event);
        }
        let mut answers: HashMap<Uuid, Vec<KeptAnswer>> = HashMap::new();
        for answer in IdempotencyStore::about(&self.reports.db, &ids).await? {
            answers.entry(answer.callback).or_default().push(answer);
        }
        let mut held = Vec::with_capacity(callbacks.len());
        for callback in callbacks {
            let filter = Filter { callback_id: Some(callback.id), ..Filter::default() };
            held.push(Held {
                entries: self.reports.audit.step(&filter, None, MOST_ENTRIES).await?.entries,
                events: events.remove(&callback.id).unwrap_or_default(),
                answers: answers.remove(&callback.id).unwrap_or_default(),
                callback,
            });
        }
        Ok(held)
    }

    /// The audit entries of earlier requests about the person, newest first.
    async fn requests_about(&self, hashes: &[String]) -> Result<Vec<Entry>, sqlx::Error> {
        let mut requests = Vec::new();
        for action in [Action::PrivacyErased, Action::PrivacyExported] {
            let filter = Filter { action: Some(action.as_str().to_owned()), ..Filter::default() };
            let found = self.reports.audit.step(&filter, None, MOST_REQUESTS).await?.entries;
            requests.extend(found.into_iter().filter(|entry| {
                let hash = entry.detail.as_json()["phoneNumberHash"].as_str();
                hash.is_some_and(|hash| hashes.iter().any(|known| known == hash))
            }));
        }
        requests.sort_by_key(|entry| std::cmp::Reverse(entry.timestamp));
        Ok(requests)
    }
}
