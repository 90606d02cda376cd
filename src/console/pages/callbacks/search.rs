//! `POST /console/callbacks/search`: the callbacks of a phone number. It is a POST, so that the number is in no address: neither in
//! the history of the browser nor in the log of a proxy.

use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::get;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use super::list::{CallbackList, CallbacksPage, Filters};
use super::model::Callback;
use crate::console::client::with_query;
use crate::console::extract::Form;
use crate::console::page::{Section, Visit, page_with};
use crate::console::problem::ApiProblem;
use crate::console::state::Console;
use crate::console::view::List;

/// One page of the API.
const MOST: &str = "200";

/// The route of the search. A GET, such as after a reload, leads to the list.
pub fn routes() -> Router<Arc<Console>> {
    let to_list = async || Redirect::to(Section::Callbacks.path()).into_response();
    Router::new().route("/console/callbacks/search", get(to_list).post(search))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SearchForm {
    phone_number: SecretString,
}

async fn search(visit: Visit, Form(form): Form<SearchForm>) -> Result<Response, ApiProblem> {
    let number = form.phone_number.expose_secret().trim();
    if number.is_empty() {
        return Ok(Redirect::to(Section::Callbacks.path()).into_response());
    }
    let path = with_query("/v1/callbacks", [("phoneNumber", number), ("limit", MOST)]);
    let (callbacks, problem) = match visit.api.get::<List<Callback>>(&path).await {
        Ok(list) => (list.data, None),
        Err(problem) if problem.is_of_form() => (Vec::new(), Some(problem)),
        Err(problem) => return Err(problem),
    };
    let status = problem.as_ref().map_or(StatusCode::OK, ApiProblem::status);
    let list = CallbackList { callbacks, is_filtered: true, ..CallbackList::default() };
    let layout = visit.layout(Section::Callbacks);
    page_with(status, &CallbacksPage { layout, filters: Filters::default(), list, source: None, problem })
}
