use super::cxone::{base_url, region_url};
use crate::fuzz_test::fuzz;

#[test]
fn the_address_of_cxone_is_a_url_without_query() {
    fuzz(&["https://api.us.conversationalcloud.com/", "http://[::1]:9090", "us", "eu.example.com"], |text| {
        if let Ok(url) = base_url(text, false) {
            assert!(!url.ends_with('/') && !url.contains(['?', '#']), "{url}");
            assert_eq!(base_url(&url, false).ok(), Some(url));
        }
        if let Ok(url) = region_url(text) {
            assert!(url.starts_with("https://"));
        }
    });
}
