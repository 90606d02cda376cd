//! A simulator of NICE CXone: real HTTP, real state, and configurable faults.
//!
//! It answers the six `v2` calls, or the calls of the API that NICE publishes (`nice`), or both, as strictly as CXone does
//! (tokens, scopes, JSON shape, campaign state, quota) and records requests, contacts and messages. It uses nothing else of
//! this crate, so that it cannot share the service's bugs.
//!
//! `model` is the state, `v2` and `nice` have the handlers of CXone's calls, `control` those of the control API. All calls
//! of CXone pass through `middleware`.
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
//! | `GET /_control/contacts` | the last 100,000 contacts created: `{at, contact, repeats}`, then the last 100,000 scheduled callbacks |
//! | `GET /_control/messages` | the last 100,000 messages sent: `{at, sessionId, to, from, message}`, then those of Digital, whose `from` is the channel |
//! | `GET /_control/campaigns` | every campaign with its revision, `skillId` and `niceCampaignId` |
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
//! | `POST /_control/reset` | removes logs, faults, contacts, scheduled callbacks and their calls, messages and the quota used; keeps campaigns, skills, forecasts, tokens and settings |
//!
//! A fault's `route` is `token`, `campaignRead`, `campaignUpdate`, `forecast`, `contact`, `message` or `*`, and in the `nice`
//! API also one of those below. The first one that matches a call (and is chosen by its `rate`) applies; one with `times`
//! is removed after that many calls. With `campaign`, only calls with that campaign in the path match; in the `nice` API,
//! calls with a skill, campaign number or callback of that campaign in the path, or its skill in the query or the body.
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
//! `ignore` and `refuseAttribute` apply to `campaignUpdate` only, `late` also to `contact`, `contactUpdate`,
//! `contactDelete` and `message`; all three without `afterWork`. With the others the call has no effect, unless `afterWork`
//! is true: then it takes effect first, and the answer is lost. `latencyMs` delays every kind but `late`. A `late` change of
//! a `v2` campaign is checked when it is received, every other `late` call when it takes effect; a campaign that is
//! `INACTIVE` or `SUSPENDED` by then is not changed. Faults come after the quota: a call that exceeds the quota uses up no
//! fault.
//!
//! # The `nice` API
//!
//! Every campaign has a campaign number (from 101, in order of creation; a campaign whose id is a free number keeps that)
//! and one Personal Connection skill (from 4001), whose `isRunning` is that the campaign is `ACTIVE`. To start or stop that
//! skill is a client's change of the campaign. Other skills run by themselves. The access key is `client_id` and
//! `client_secret`, so is the OAuth client. State is a function of the clock: what is due happens when it is looked at.
//!
//! | route of faults | calls |
//! | --- | --- |
//! | `token`, `discovery` | both token calls; both well-known configurations |
//! | `campaignRead` | `GET skills/{id}`, `GET campaigns/{id}/skills` |
//! | `campaignUpdate` | `POST skills/{id}/start` and `stop` |
//! | `forecast` | `wfm-data/…`, `skills/activity`, `skills/{id}/activity` |
//! | `contact`, `contactUpdate`, `contactDelete` | `POST`, `PUT` and `DELETE` of `scheduled-callbacks` |
//! | `contactList` | `GET` of the `scheduled-callbacks` of a skill or an agent |
//! | `outcome` | `contacts/…`, `dispositions` |
//! | `message`, `messageSearch` | `POST channels/{id}/outbound`; `GET messages` and `threads` |
//! | `doNotCall`, `other` | `dnc-groups/…`; everything else |
//!
//! A scheduled callback in `GET /_control/contacts` is `{at, contact: {contactId, callbackId, campaignId, phone,
//! scheduledStartDateTime, scheduleDate, skillId, notes}, repeats, deleted?, dialled?}`. `contactId` is the UUID after
//! `ringback:` in the notes, or null; `scheduledStartDateTime` is what the tenant took `scheduleDate` for; `repeats` counts
//! the callbacks created later with the same `contactId`, which are listed too.
//!
//! | call | does |
//! | --- | --- |
//! | `GET /_control/nice`, `PUT /_control/nice` | the members below; absent ones are not changed |
//! | `GET /_control/skills` | every skill |
//! | `PUT /_control/skills/{skillId}` | `{campaign?, skillName?, isActive?, isRunning?, isOutbound?, outboundStrategy?, mediaTypeId?}`: creates or changes a skill |
//! | `PUT /_control/skills/{skillId}/history` | `{raw}`: the rows of `wfm-data/skills/contacts`, answered unchanged; or `{weeks?, contactsPerInterval?, agents?}`, the same at any time of the day |
//! | `DELETE /_control/skills/{skillId}/history` | back to the default: 8 weeks, 08:00 to 20:00 in the business unit's zone |
//! | `PUT /_control/skills/{skillId}/dialer` | `{intervals: [{start, dials, connects}]}`: what `wfm-data/skills/dialer-contacts` has of the skill |
//! | `DELETE /_control/skills/{skillId}/dialer` | back to the default: the calls of its scheduled callbacks, from when they are dialled |
//! | `PUT /_control/do-not-call` | `{numbers}`: replaces the numbers of the do-not-call group |
//!
//! | member of `/_control/nice` | meaning |
//! | --- | --- |
//! | `scheduleDates` | a `scheduleDate` is read as `utc`, as local time of the `business-unit` even with a `Z`, or `wrong`: 37 minutes late |
//! | `timeZone` | the business unit's, under its Windows name |
//! | `startDelayMs` | how long after the 202 a skill runs: 300 |
//! | `outcome`, `outcomes` | what becomes of callbacks, and of those to some numbers: `reached`, `not-reached`, `agent-only`, `missing` |
//! | `completedDelayMs` | how long after it is dialled a contact is completed; until then it is active: 0 |
//! | `largestPage` | how many completed contacts an answer has at most, whatever `top` is: 10000 |
//! | `callbacksDialWhileStopped` | whether a stopped skill dials callbacks: true. Otherwise it does so when it runs again |
//! | `messageIndexDelayMs` | how long after it is sent a message is found by searches: 0 |
//! | `skillListsShowRunning` | whether `GET skills` shows `isRunning`: false |

mod clock;
mod control;
mod effect;
mod fields;
mod middleware;
mod model;
mod nice;
mod refusal;
mod route;
mod serve;
mod v2;

#[cfg(test)]
mod tests;

pub use model::Simulator;
pub use model::campaign::{Campaign, CampaignState};
pub use model::forecast::ForecastShape;
pub use model::settings::{Api, Settings};
pub use serve::{router, serve};
