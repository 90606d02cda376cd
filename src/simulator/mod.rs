//! A stand-in for NICE CXone: real HTTP, real state, and faults on demand.
//!
//! It answers the six `v2` calls as strictly as CXone does (tokens, scopes, JSON shape, campaign state, quota) and
//! remembers what it was asked and what it made. It uses nothing else of this crate, so that it cannot share the
//! service's mistakes.
//!
//! # The control API
//!
//! JSON in camelCase, no authentication, never counted as a CXone request.
//!
//! | call | does |
//! | --- | --- |
//! | `GET /_control/received?route=` | the last 20,000 CXone requests in order: `{at, route, method, path, query, headers, body, status, fault}`; `status` is null where no answer was given, secrets are left out |
//! | `DELETE /_control/received` | forgets them and their counts |
//! | `GET /_control/counts` | `{total, highestPerMinute, routes: {contact: {total, unanswered, statuses: {"201": 3}}}}` |
//! | `GET /_control/contacts` | the last 100,000 contacts made: `{at, contact, repeats}` |
//! | `GET /_control/messages` | the last 100,000 messages sent: `{at, sessionId, to, from, message}` |
//! | `GET /_control/campaigns` | every campaign with its revision |
//! | `PUT /_control/campaigns/{id}` | `{state?, maxAgents?, dialingMode?, pauseReason?, scheduledResumeTime?}`: makes or changes it as somebody else would; null clears an optional value |
//! | `PUT /_control/campaigns/{id}/forecast` | `{hours: [{hour, availableAgents, expectedCalls}]}`, or `{raw}`: any JSON, answered as it is |
//! | `DELETE /_control/campaigns/{id}/forecast` | back to the default forecast |
//! | `POST /_control/faults` | `{route, kind, status?, retryAfter?, body?, latencyMs?, times?, rate?, afterWork?}` → `{id}` |
//! | `GET /_control/faults`, `DELETE /_control/faults`, `DELETE /_control/faults/{id}` | lists, removes |
//! | `POST /_control/tokens/revoke`, `POST /_control/tokens/expire` | every token issued so far is refused with 401 |
//! | `PUT /_control/tokens` | `{lifetimeSeconds?, rawExpiresIn?}` for tokens to come; null lifetime leaves `expires_in` out, the raw value is sent as it is |
//! | `PUT /_control/limits` | `{requestsPerMinute?, latencyMs?}`; null requests means no limit |
//! | `POST /_control/reset` | forgets records, faults, contacts, messages and the quota spent; keeps campaigns, forecasts, tokens and settings |
//!
//! A fault's `route` is `token`, `campaignRead`, `campaignUpdate`, `forecast`, `contact`, `message` or `*`. The first
//! one that matches a call (and whose `rate` says so) decides; one with `times` is gone once it happened that often.
//!
//! | `kind` | the client sees |
//! | --- | --- |
//! | `status` | that `status`, with `body` (JSON, or a string as plain text) and the header `retryAfter` where given |
//! | `body` | 200, or `status`, with `body` instead of CXone's answer |
//! | `latency` | CXone's answer, `latencyMs` later |
//! | `hang` | nothing, until it gives up or the simulator stops |
//! | `drop` | a connection that breaks without an answer |
//!
//! The work is not done, unless `afterWork` is true: then it is done first and the answer is lost. `latencyMs` delays
//! every kind. Faults come after the quota: a call that was answered 429 for its own sake uses up none.

mod answer;
mod campaigns;
mod contacts;
mod control;
mod faults;
mod fields;
mod forecast;
mod gate;
mod messages;
mod quota;
mod record;
mod ring;
mod route;
mod serve;
mod settings;
mod state;
mod tokens;

#[cfg(test)]
mod tests;

pub use campaigns::{Campaign, CampaignState};
pub use forecast::ForecastShape;
pub use serve::serve;
pub use settings::Settings;
pub use state::Simulator;
