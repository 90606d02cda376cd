//! The `Accept` header (RFC 9110, section 12.5.1).

use axum::http::HeaderMap;
use axum_extra::headers::HeaderMapExt as _;
use headers_accept::Accept;
use mediatype::{MediaType, MediaTypeBuf, ReadParams as _, WriteParams as _, names};

use super::problem::{Problem, ProblemKind};

/// The type of `available` that the request prefers; the first one where it has no preference or its header is unreadable.
///
/// # Errors
/// A 406 if the request accepts none of them.
pub fn negotiated<'a>(headers: &HeaderMap, available: &'a [MediaType<'a>]) -> Result<&'a MediaType<'a>, Problem> {
    let accepted: Option<Accept> =
        headers.typed_get().filter(|accepted: &Accept| accepted.media_types().next().is_some());
    let Some(accepted) = accepted.or_else(|| "*/*".parse().ok()) else { return not_acceptable(available) };
    let accepted: Accept = accepted.media_types().map(without_parameters).collect();
    accepted.negotiate(available).map_or_else(|| not_acceptable(available), Ok)
}

/// `text/csv; charset=utf-8` asks for `text/csv`.
fn without_parameters(range: &MediaTypeBuf) -> MediaType<'_> {
    let mut bare = MediaType::from_parts(range.ty(), range.subty(), range.suffix(), &[]);
    if let Some(quality) = range.get_param(names::Q) {
        bare.set_param(names::Q, quality);
    }
    bare
}

fn not_acceptable<T>(available: &[MediaType<'_>]) -> Result<T, Problem> {
    let names: Vec<String> = available.iter().map(ToString::to_string).collect();
    Err(Problem::new(ProblemKind::NotAcceptable, format!("the answer can be {}", names.join(", "))))
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderValue, header};
    use mediatype::media_type;

    use super::*;

    #[test]
    fn the_type_of_an_answer_is_the_one_that_the_request_prefers() {
        let available = [media_type!(APPLICATION / JSON), media_type!(TEXT / CSV)];
        for (accept, expected) in [
            ("", "application/json"),
            ("*/*", "application/json"),
            ("text/*", "text/csv"),
            ("text/csv", "text/csv"),
            ("TEXT/CSV; charset=utf-8; header=present", "text/csv"),
            ("application/json;q=0.5, text/csv;q=0.9", "text/csv"),
            ("text/csv;q=0.5, */*;q=0.1", "text/csv"),
            ("*/*, text/csv;q=0.1", "application/json"),
            ("application/json;q=0, */*", "text/csv"),
            ("text/html, application/xhtml+xml, application/xml;q=0.9, */*;q=0.8", "application/json"),
            ("not a type", "application/json"),
            ("text/html", "406"),
            ("text/csv;q=0", "406"),
            ("application/*;q=0, text/csv;q=0, image/png", "406"),
        ] {
            let headers = HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_str(accept).unwrap())]);
            let chosen = negotiated(&headers, &available);
            let chosen = chosen.map_or_else(|problem| problem.kind.status().as_str().to_owned(), ToString::to_string);
            assert_eq!(chosen, expected, "{accept}");
        }
        assert_eq!(negotiated(&HeaderMap::new(), &available).unwrap().to_string(), "application/json");
    }
}
