//! Signing in and out, and the overview.

use crate::run::{SCOPES, run};
use crate::support::create_key;

#[test]
fn a_person_signs_in_with_a_key_sees_the_overview_and_signs_out() {
    run(async |world, page| {
        let (url, key) = (world.service.base_url.clone(), create_key(&world.database, &SCOPES).await);

        page.visit(&format!("{url}/console")).await;
        page.arrives_at("/console/sign-in").await;
        page.sign_in(&url, &key).await;
        assert!(page.has("link", "Campaigns").await, "{}", page.text().await);
        // Scripts cannot read the cookie.
        assert_eq!(page.script("return document.cookie").await, "");

        page.click("button", "Sign out").await;
        page.arrives_at("/console/sign-in").await;
        page.visit(&format!("{url}/console")).await;
        page.arrives_at("/console/sign-in").await;
    });
}

#[test]
fn a_wrong_key_is_refused_with_a_message_at_its_field() {
    run(async |world, page| {
        page.visit(&format!("{}/console/sign-in", world.service.base_url)).await;
        page.fill("API key", "rbk_wrong").await;
        page.click("button", "Sign in").await;
        page.shows("This API key is unknown, revoked or expired.").await;
        page.arrives_at("/console/sign-in").await;
        page.assert_accessible_everywhere().await;
    });
}

#[test]
fn the_sign_in_page_and_the_overview_are_accessible_in_both_themes_and_fit_on_a_phone() {
    run(async |world, page| {
        let (url, key) = (world.service.base_url.clone(), create_key(&world.database, &SCOPES).await);
        page.visit(&format!("{url}/console/sign-in")).await;
        page.assert_accessible_everywhere().await;
        page.sign_in(&url, &key).await;
        page.assert_accessible_everywhere().await;
    });
}
