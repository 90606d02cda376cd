//! The console for operations: pages under `/console`, which the service itself serves.
//!
//! It is a client of the API in the same process ([`client::Client`]): it shows what the API answers to the person who is signed in, and
//! sends their commands to it. So the rules, scopes, rates and audit entries are those of the API, and the console reads no
//! table except its own, those of sessions and links.
//!
//! # How a page is added
//!
//! 1. `pages/<name>.rs` has `routes()`, which `pages/mod.rs` merges; the handlers; and a template struct for each page, whose field
//!    `layout` is [`page::Visit::layout`]. `templates/console/<name>.html` extends `base.html`. The navigation has all sections
//!    already ([`page::Section`]).
//! 2. A handler takes a [`page::Visit`]. It reads with `visit.api.get` into structs of its own that have only the members that the page
//!    shows, and answers with [`page::page`]. A problem that it returns is shown as a page by `gate`. Numbers are read as
//!    [`view::MaskedNumber`].
//! 3. A form is a POST to an address below the page's own, with the hidden member `once` (`layout.once()`), read by
//!    [`extract::Form`]. The handler sends the command with `visit.api.post`. After a success it answers with
//!    [`page::done`], whose message is in [`words::Done`]. Where the problem [is of the form](problem::ApiProblem::is_of_form), it shows the page again by
//!    [`page::page_with`], with the problem's status and faults beside the fields. A form of filters is a GET.
//! 4. A button is shown only where `layout.may(crate::http::Scope::…)`. The API refuses the request without the scope in any case.
//! 5. Parts that change while somebody looks are a `<section data-live="callbacks campaigns" data-src="/console/fragments/…">`. The script
//!    reads the fragment again when one of these topics changes. A fragment is a block of the page's template
//!    (`#[template(path = …, block = "…")]`).
//! 6. `templates/console/macros.html` has what recurs: badges, times, countdowns, tables, empty states, fields with faults. Words for states are in
//!    [`words`]. Functions of a template are called by their path, such as `crate::console::words::callback_status(…)`.
//! 7. Neither styles nor scripts may be inline: classes are in `assets/console.css`. Nothing of a person or of CXone may be marked as
//!    `safe`.
//! 8. Tests over HTTP are in `tests/e2e/console_<name>.rs`, with `support::Browser`.

mod assets;
mod chart;
mod client;
mod events;
mod extract;
mod gate;
mod live;
mod local_time;
mod oidc;
mod page;
mod pages;
mod problem;
mod regulatory_window;
mod security;
mod session;
mod settings;
mod shared;
mod sign_in;
mod source;
mod state;
mod store;
mod token;
mod view;
mod words;

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;

pub use client::Api;
pub use live::Live;
pub use session::Sessions;
pub use settings::{ConsoleSettings, oidc_redirect, parse_address};
pub use source::{ComingHour, Dialed, EndpointState, EndpointStatus, ServiceStatus, Source};
pub use state::Console;
pub use store::ConsoleStore;

/// The routes, all of them under `/console`.
pub fn routes(console: Console) -> Router {
    let console = Arc::new(console);
    let inside = pages::routes().merge(events::routes()).merge(sign_in::sign_out_route());
    let inside = inside.layer(from_fn_with_state(Arc::clone(&console), gate::signed_in));
    let outside = sign_in::routes().merge(oidc::routes()).layer(from_fn_with_state(Arc::clone(&console), gate::anyone));
    let routes = inside.merge(outside).merge(assets::routes());
    security::secured(routes, console.address.as_ref()).with_state(console)
}
