//! The keys with which the newest checkpoint may be signed.

use sqlx::PgPool;

use super::keys::LogKeys;
use super::tests::{KEY, Log, ORIGIN, OTHER_KEY};
use super::verify::{Expected, Reason, verify};

/// While keys are replaced, a replica that has the new key too checks what one with the old key alone has signed.
#[sqlx::test]
async fn the_newest_checkpoint_must_be_signed_with_any_of_the_given_keys(pool: PgPool) {
    let log = Log::with_entries(&pool, 10).await;
    let keys = |text: &str| LogKeys::parse(ORIGIN, text).unwrap();
    let (both, own, other) = (keys(&format!("{OTHER_KEY},{KEY}")), keys(KEY), keys(OTHER_KEY));

    for (keys, broken) in
        [(both.public(), None), (own.public(), None), (other.public(), Some(Reason::NotSigned)), (&[], None)]
    {
        let verification = verify(&log.store, &Expected { keys, kept: None }).await.unwrap();
        assert_eq!(verification.first_broken.map(|broken| broken.reason), broken, "{keys:?}");
    }
}
