//! A simulator of NICE CXone: real HTTP, real state, and configurable faults.
//!
//! It answers the six `v2` calls as strictly as CXone does (tokens, scopes, JSON shape, campaign state, quota) and
//! records requests, contacts and messages. It uses nothing else of this crate, so that it cannot share the service's
//! bugs.
//!
//! `model` is the state, `v2` has the handlers of CXone's calls, `control` those of the control API.
//!
//! # The control API
//!
//! JSON in camelCase, without authentication; its calls are never counted as CXone requests.
//!
//! | call | does |
//! | --- | --- |
//! | `GET /_control/received?route=&campaign=` | the last 20,000 CXone requests in order: `{at, route, method, path, query, headers, body, status, fault}`; `status` is null where no answer was given, secrets are left out |
//! | `DELETE /_control/received` | removes them and their counts |
//! | `GET /_control/counts` | `{total, highestPerMinute, routes: {contact: {total, unanswered, statuses: {"201": 3}}}}` |
//! | `GET /_control/contacts` | the last 100,000 contacts created: `{at, contact, repeats}` |
//! | `GET /_control/messages` | the last 100,000 messages sent: `{at, sessionId, to, from, message}` |
//! | `GET /_control/campaigns` | every campaign with its revision |
//! | `PUT /_control/campaigns/{id}` | `{state?, maxAgents?, dialingMode?, pauseReason?, scheduledResumeTime?}`: creates a campaign, or changes it as another CXone user would; null clears an optional value |
//! | `GET /_control/changes?campaign=` | the last 100,000 changes of campaigns that took effect, in order: `{at, sentAt, by, id, state, pauseReason?, scheduledResumeTime?, maxAgents, dialingMode}`; `by` is `client`, `somebody` (this API) or `schedule`, `sentAt` is when a client's request was received |
//! | `PUT /_control/behaviour` | `{resumesItself}`: whether CXone resumes a paused campaign at its `scheduledResumeTime`, which clears it and `pauseReason`; for clients this is a change by another user |
//! | `PUT /_control/campaigns/{id}/forecast` | `{hours: [{hour, availableAgents, expectedCalls}]}`, or `{raw}`: any JSON, answered unchanged |
//! | `DELETE /_control/campaigns/{id}/forecast` | back to the default forecast |
//! | `POST /_control/faults` | `{route, campaign?, kind, attribute?, status?, retryAfter?, body?, latencyMs?, times?, rate?, afterWork?}` → `{id}` |
//! | `GET /_control/faults`, `DELETE /_control/faults`, `DELETE /_control/faults/{id}` | lists, removes |
//! | `POST /_control/tokens/revoke`, `POST /_control/tokens/expire` | every token issued so far is refused with 401 |
//! | `PUT /_control/tokens` | `{lifetimeSeconds?, rawExpiresIn?}` for the next tokens; a null lifetime leaves `expires_in` out, the raw value is sent unchanged |
//! | `PUT /_control/limits` | `{requestsPerMinute?, latencyMs?}`; null means no limit |
//! | `POST /_control/reset` | removes logs, faults, contacts, messages and the quota used; keeps campaigns, forecasts, tokens and settings |
//!
//! A fault's `route` is `token`, `campaignRead`, `campaignUpdate`, `forecast`, `contact`, `message` or `*`. The first
//! one that matches a call (and is chosen by its `rate`) applies; one with `times` is removed after that many calls. With
//! `campaign`, only calls with that campaign in the path match.
//!
//! | `kind` | the client sees |
//! | --- | --- |
//! | `status` | that `status`, with `body` (JSON, or a string as plain text, as HTML if it begins with `<`) and the header `retryAfter` if given |
//! | `body` | 200, or `status`, with `body` instead of CXone's answer |
//! | `latency` | CXone's answer, `latencyMs` later |
//! | `hang` | no answer, until it disconnects or the simulator stops |
//! | `drop` | a connection that is closed without an answer |
//! | `late` | no answer, or `status` at once if given (504); the change takes effect after `latencyMs`, over any change in between |
//! | `ignore` | 200 and the unchanged campaign |
//! | `refuseAttribute` | 422, or `status`, if the call changes `attribute` (`maxAgents`, `scheduledResumeTime` or `pauseReason`) |
//!
//! The last three apply to `campaignUpdate` only. With the others the call has no effect, unless `afterWork` is true: then
//! it takes effect first, and the answer is lost. `latencyMs` delays every kind but `late`. A `late` change is checked when
//! it is received; it has no effect if the campaign is `INACTIVE` or `SUSPENDED` by then. Faults come after the quota: a
//! call that exceeds the quota uses up no fault.

mod clock;
mod control;
mod fields;
mod model;
mod refusal;
mod route;
mod serve;
mod v2;

#[cfg(test)]
mod tests;

pub use model::Simulator;
pub use model::campaign::{Campaign, CampaignState};
pub use model::forecast::ForecastShape;
pub use model::settings::Settings;
pub use serve::{router, serve};
