use super::*;
use crate::callbacks::model::{Failure, FailureCode};
use crate::types::{ExternalId, Metadata};
use serde_json::json;

const HASH: &str = "hash";

/// With a text in every member that can have one, and a failure.
fn with_texts(callback: Callback) -> Callback {
    Callback {
        external_id: ExternalId::parse("patient-7").ok(),
        metadata: Metadata::parse(json!({"note": "surgery"}).as_object().unwrap()).ok(),
        failure: Some(Failure::new(FailureCode::CxoneRejected, "surgery")),
        request_id: "patient-7".to_owned(),
        ..callback
    }
}

fn failed(n: u16) -> Callback {
    let mut callback = with_texts(accepted(n));
    callback.fail(Failure::new(FailureCode::CxoneRejected, "surgery"));
    callback
}

fn settled(n: u16) -> Callback {
    let mut callback = with_texts(scheduled(n, "15:00:00"));
    callback.confirm("session".to_owned());
    callback
}

async fn erase(store: &CallbackStore, callbacks: &[Callback], now: Timestamp) -> Vec<Uuid> {
    let mut transaction = store.pool.begin().await.unwrap();
    let entries = callbacks.iter().map(|callback| (callback.id, entry(callback, Action::CallbackErased))).collect();
    let mut erased = CallbackStore::erase(&mut transaction, entries, Some(HASH), now).await.unwrap();
    transaction.commit().await.unwrap();
    erased.sort_unstable();
    erased
}

#[sqlx::test]
async fn only_callbacks_that_have_ended_are_erased_and_once(pool: PgPool) {
    let store = store(&pool);
    let all = [failed(0), settled(1), accepted(2), placed(3, "15:00:00"), scheduled(4, "15:00:00")];
    put(&store, &all).await;
    let at_cxone: Vec<bool> = all.iter().map(Callback::is_known_to_cxone).collect();
    assert_eq!(at_cxone, [false, true, false, true, true]);
    let cancellable: Vec<bool> = all.iter().map(Callback::can_be_cancelled).collect();
    assert_eq!(cancellable, [false, false, true, false, false]);
    let has_ended = |now| all.iter().filter(move |callback| callback.has_ended(now)).map(|callback| callback.id);

    assert_eq!(erase(&store, &all, at("17:00:00")).await, [all[0].id]);
    assert!(has_ended(at("17:00:00")).eq([all[0].id]));
    // The window of the others ends at 17:00.
    assert_eq!(erase(&store, &all, at("17:00:01")).await, [all[1].id]);
    assert!(has_ended(at("17:00:01")).eq([all[0].id, all[1].id]));
    assert_eq!(erase(&store, &all, at("17:00:01")).await, [] as [Uuid; 0]);
    assert_eq!(actions(&pool, all[0].id).await, ["callback.accepted", "callback.erased"]);
}

#[sqlx::test]
async fn an_erased_callback_keeps_its_times_and_ids_and_is_found_by_the_hash(pool: PgPool) {
    let store = store(&pool);
    put(&store, &[settled(0), failed(1)]).await;
    let now = at("17:00:01");
    erase(&store, &[settled(0), failed(1)], now).await;

    let erased = Callback {
        phone_number: PhoneNumber::erased(),
        external_id: None,
        metadata: None,
        request_id: String::new(),
        erased_at: Some(now),
        updated_at: now,
        ..stored(&store, accepted(0).id).await
    };
    assert_eq!(stored(&store, accepted(0).id).await, erased);
    assert_eq!(
        (erased.contact_id, erased.sms_session_id.as_deref()),
        (Some(ContactId::Own(erased.id)), Some("session"))
    );
    let failure = stored(&store, accepted(1).id).await.failure.unwrap();
    assert_eq!((failure.code, failure.detail.as_str()), (FailureCode::CxoneRejected, "erased"));

    let found = async |number: &PhoneNumber, hashes: &[String]| {
        let page = PageRequest { limit: 10, after: None };
        let found = store.of_person(Some(number), hashes, &page).await.unwrap().data;
        found.iter().map(|callback| callback.id.as_u128() - 1).collect::<Vec<_>>()
    };
    put(&store, &[accepted(2)]).await;
    assert_eq!(found(&accepted(2).phone_number, &[HASH.to_owned()]).await, [2, 1, 0]);
    assert_eq!(found(&accepted(0).phone_number, &["other".to_owned()]).await, [0; 0]);
}

#[sqlx::test]
async fn an_erased_callback_is_not_marked_at_risk_any_more(pool: PgPool) {
    let store = store(&pool);
    put(&store, &[settled(0)]).await;
    erase(&store, &[settled(0)], at("17:00:01")).await;
    // The marker read it before it was erased: its event would have the texts.
    let entries = vec![(settled(0).id, entry(&settled(0), Action::CallbackAtRisk))];
    assert_eq!(store.mark(true, entries, at("17:00:02")).await.unwrap(), 0);
}

#[sqlx::test]
async fn postgres_refuses_an_erased_callback_that_has_a_number_a_text_or_work_left(pool: PgPool) {
    let store = store(&pool);
    put(&store, &[failed(0), accepted(1)]).await;
    erase(&store, &[failed(0)], now()).await;
    for change in [
        "phone_number = '+12025550198'",
        "external_id = 'patient-7'",
        "metadata = '{}'",
        "request_id = 'patient-7'",
        "traceparent = 'text'",
        "failure_detail = 'text'",
        "erased_at = null",
    ] {
        let update = sqlx::AssertSqlSafe(format!("update callbacks set {change} where erased_at is not null"));
        assert!(sqlx::query(update).execute(&pool).await.is_err(), "{change}");
    }
    let erase_open = "update callbacks set erased_at = now(), phone_number = null, request_id = '', traceparent = null,
        failure_detail = case when failure_code is not null then 'erased' end where due_at is not null";
    assert!(sqlx::query(erase_open).execute(&pool).await.is_err());
}
