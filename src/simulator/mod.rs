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
//! | `GET /_control/received?route=&campaign=` | the last 20,000 CXone requests in order: `{at, route, method, path, query, headers, body, status, fault}`; `status` is null where no answer was given, secrets are left out |
//! | `DELETE /_control/received` | forgets them and their counts |
//! | `GET /_control/counts` | `{total, highestPerMinute, routes: {contact: {total, unanswered, statuses: {"201": 3}}}}` |
//! | `GET /_control/contacts` | the last 100,000 contacts made: `{at, contact, repeats}` |
//! | `GET /_control/messages` | the last 100,000 messages sent: `{at, sessionId, to, from, message}` |
//! | `GET /_control/campaigns` | every campaign with its revision |
//! | `PUT /_control/campaigns/{id}` | `{state?, maxAgents?, dialingMode?, pauseReason?, scheduledResumeTime?}`: makes or changes it as somebody else would; null clears an optional value |
//! | `GET /_control/changes?campaign=` | the last 100,000 changes of campaigns that took effect, in order: `{at, sentAt, by, id, state, pauseReason?, scheduledResumeTime?, maxAgents, dialingMode}`; `by` is `client`, `somebody` (this API) or `schedule`, `sentAt` is when a client's request came in |
//! | `PUT /_control/behaviour` | `{resumesItself}`: whether CXone starts a paused campaign by itself when its `scheduledResumeTime` is reached, which clears it and `pauseReason`; to clients it is a change by somebody else |
//! | `PUT /_control/campaigns/{id}/forecast` | `{hours: [{hour, availableAgents, expectedCalls}]}`, or `{raw}`: any JSON, answered as it is |
//! | `DELETE /_control/campaigns/{id}/forecast` | back to the default forecast |
//! | `POST /_control/faults` | `{route, campaign?, kind, attribute?, status?, retryAfter?, body?, latencyMs?, times?, rate?, afterWork?}` → `{id}` |
//! | `GET /_control/faults`, `DELETE /_control/faults`, `DELETE /_control/faults/{id}` | lists, removes |
//! | `POST /_control/tokens/revoke`, `POST /_control/tokens/expire` | every token issued so far is refused with 401 |
//! | `PUT /_control/tokens` | `{lifetimeSeconds?, rawExpiresIn?}` for tokens to come; null lifetime leaves `expires_in` out, the raw value is sent as it is |
//! | `PUT /_control/limits` | `{requestsPerMinute?, latencyMs?}`; null requests means no limit |
//! | `POST /_control/reset` | forgets records, faults, contacts, messages and the quota spent; keeps campaigns, forecasts, tokens and settings |
//!
//! A fault's `route` is `token`, `campaignRead`, `campaignUpdate`, `forecast`, `contact`, `message` or `*`. The first
//! one that matches a call (and whose `rate` says so) decides; one with `times` is gone once it happened that often. With
//! `campaign`, only calls whose path names that campaign match.
//!
//! | `kind` | the client sees |
//! | --- | --- |
//! | `status` | that `status`, with `body` (JSON, or a string as plain text, as HTML where it begins with `<`) and the header `retryAfter` where given |
//! | `body` | 200, or `status`, with `body` instead of CXone's answer |
//! | `latency` | CXone's answer, `latencyMs` later |
//! | `hang` | nothing, until it gives up or the simulator stops |
//! | `drop` | a connection that breaks without an answer |
//! | `late` | nothing, or `status` at once where given (504); what was sent takes effect after `latencyMs`, over any change in between |
//! | `ignore` | 200 and the campaign as it is: it is not changed |
//! | `refuseAttribute` | 422, or `status`, where `attribute` (`maxAgents`, `scheduledResumeTime` or `pauseReason`) is sent with another value than the campaign has; calls without are not concerned |
//!
//! The last three are of `campaignUpdate`. Of the others the work is not done, unless `afterWork` is true: then it is
//! done first and the answer is lost. `latencyMs` delays every kind but `late`. A change that is `late` was checked when
//! it came in; it is not carried out where the campaign is `INACTIVE` or `SUSPENDED` by then. Faults come after the
//! quota: a call that was answered 429 for its own sake uses up none.

mod answer;
mod campaigns;
mod contacts;
mod control;
mod faults;
mod fields;
mod forecast;
mod gate;
mod history;
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
