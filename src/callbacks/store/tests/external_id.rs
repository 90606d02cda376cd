use futures::future::join_all;
use serde_json::json;

use super::*;
use crate::types::Metadata;

fn with_external_id(n: u16, external_id: &str) -> Callback {
    Callback { external_id: ExternalId::parse(external_id).ok(), ..accepted(n) }
}

/// An item of a batch.
fn item(n: u16, external_id: &str) -> Callback {
    Callback { in_batch: true, ..with_external_id(n, external_id) }
}

async fn end(store: &CallbackStore, callback: &Callback) {
    store.cancel(callback.id, now(), entry(callback, Action::CallbackCancelled)).await.unwrap().unwrap();
}

#[sqlx::test]
async fn an_external_id_and_metadata_are_read_as_they_were_inserted(pool: PgPool) {
    let store = store(&pool);
    let metadata = Metadata::parse(json!({"b": "€ \"x\"", "a": ""}).as_object().unwrap());
    let full = Callback { metadata: metadata.ok(), ..item(0, "ticket/4711 €") };
    let empty = Callback { metadata: Metadata::parse(&serde_json::Map::new()).ok(), ..accepted(1) };
    for callback in [full, empty, accepted(2)] {
        assert_eq!(insert(&store, [&callback]).await[&callback.id], Inserted::New);
        assert_eq!(stored(&store, callback.id).await, callback);
    }
    let entries: Vec<String> =
        sqlx::query_scalar("select entry::text from audit_entries as entry").fetch_all(&pool).await.unwrap();
    assert!(entries.iter().all(|entry| !entry.contains("4711") && !entry.contains('€')), "{entries:?}");
}

#[sqlx::test]
async fn the_database_refuses_values_that_are_too_long_or_of_another_type(pool: PgPool) {
    let store = store(&pool);
    insert(&store, &[accepted(0)]).await;
    let pairs = |count: usize| (0..count).map(|n| (n.to_string(), json!("x"))).collect::<serde_json::Value>();
    for (external_id, metadata, accepted) in [
        ("€".repeat(128), json!({"€".repeat(40): "€".repeat(500)}), true),
        ("x".into(), pairs(20), true),
        (String::new(), json!({}), false),
        ("x".repeat(129), json!({}), false),
        ("x".into(), pairs(21), false),
        ("x".into(), json!({"": "x"}), false),
        ("x".into(), json!({"k".repeat(41): "x"}), false),
        ("x".into(), json!({"k": "x".repeat(501)}), false),
        ("x".into(), json!({"k": 7}), false),
        ("x".into(), json!({"k": null}), false),
        ("x".into(), json!([]), false),
    ] {
        let update = sqlx::query("update callbacks set external_id = $1, metadata = $2")
            .bind(&external_id)
            .bind(&metadata)
            .execute(&pool)
            .await;
        assert_eq!(update.is_ok(), accepted, "{external_id} {metadata}: {update:?}");
    }
}

#[sqlx::test]
async fn an_item_of_a_batch_with_the_external_id_of_an_open_callback_is_that_callback(pool: PgPool) {
    let store = store(&pool);
    let (single, batched) = (with_external_id(0, "a"), item(1, "b"));
    insert(&store, [&single, &batched]).await;
    let results = insert(&store, &[item(10, "a"), item(11, "b"), item(12, "c"), accepted(13)]).await;
    assert_eq!(results[&accepted(10).id], Inserted::SameExternalId(single.id));
    assert_eq!(results[&accepted(11).id], Inserted::SameExternalId(batched.id));
    assert_eq!((results[&accepted(12).id], results[&accepted(13).id]), (Inserted::New, Inserted::New));
    assert_eq!(actions(&pool, accepted(10).id).await, [""; 0]);
    // Also if its number has another open callback.
    let same_number = Callback { phone_number: accepted(13).phone_number, ..item(14, "a") };
    assert_eq!(insert(&store, [&same_number]).await[&same_number.id], Inserted::SameExternalId(single.id));
}

#[sqlx::test]
async fn callbacks_requested_singly_may_share_an_external_id(pool: PgPool) {
    let store = store(&pool);
    insert(&store, &[item(0, "a")]).await;
    for n in [1, 2] {
        assert_eq!(insert(&store, &[with_external_id(n, "a")]).await[&accepted(n).id], Inserted::New);
    }
    // The oldest is the result. They were accepted at the same time, so the lowest id decides.
    assert_eq!(insert(&store, &[item(3, "a")]).await[&accepted(3).id], Inserted::SameExternalId(accepted(0).id));
}

#[sqlx::test]
async fn another_api_key_has_external_ids_of_its_own(pool: PgPool) {
    let store = store(&pool);
    let other = Callback { created_by: Some(Uuid::from_u128(8)), ..item(1, "a") };
    let old = Callback { created_by: None, ..with_external_id(2, "a") };
    for callback in [old, item(0, "a"), other] {
        assert_eq!(insert(&store, [&callback]).await[&callback.id], Inserted::New);
    }
}

#[sqlx::test]
async fn after_a_callback_has_ended_a_batch_creates_a_new_one(pool: PgPool) {
    let store = store(&pool);
    for n in 0..3 {
        assert_eq!(insert(&store, &[item(n, "a")]).await[&accepted(n).id], Inserted::New);
        end(&store, &accepted(n)).await;
    }
}

#[sqlx::test]
async fn of_items_with_one_external_id_the_first_is_stored(pool: PgPool) {
    let store = store(&pool);
    // The order is that of the batch, not of the numbers.
    let results = insert(&store, &[item(3, "a"), item(1, "b"), item(2, "a"), item(0, "a")]).await;
    assert_eq!((results[&accepted(3).id], results[&accepted(1).id]), (Inserted::New, Inserted::New));
    for n in [2, 0] {
        assert_eq!(results[&accepted(n).id], Inserted::SameExternalId(accepted(3).id));
    }
    // If the first has the number of another open callback, the second is stored, and is the result of all.
    let duplicate = Callback { phone_number: accepted(3).phone_number, ..item(4, "c") };
    let results = insert(&store, &[duplicate, item(5, "c"), item(6, "c")]).await;
    assert_eq!(results[&accepted(5).id], Inserted::New);
    for n in [4, 6] {
        assert_eq!(results[&accepted(n).id], Inserted::SameExternalId(accepted(5).id));
    }
}

#[sqlx::test]
async fn a_repeated_insert_of_an_item_finds_it(pool: PgPool) {
    let store = store(&pool);
    insert(&store, &[item(0, "a")]).await;
    assert_eq!(insert(&store, &[item(0, "a")]).await[&accepted(0).id], Inserted::Existing);
}

/// Batch number `batch` of `count` items. Each batch has the same external ids, and a number of its own for each.
fn batch(batch: u16, count: u16) -> Vec<Callback> {
    (0..count).map(|n| item(batch * 100 + n, &format!("ticket {n}"))).collect()
}

async fn assert_each_is_created_once(store: &CallbackStore, batches: &[Vec<Callback>], count: usize) {
    let results = join_all(batches.iter().map(|batch| insert(store, batch))).await;
    let results: HashMap<Uuid, Inserted> = results.into_iter().flatten().collect();
    let new: HashMap<_, _> = batches
        .iter()
        .flatten()
        .filter(|item| results[&item.id] == Inserted::New)
        .map(|item| (item.external_id.clone(), item.id))
        .collect();
    let created = results.values().filter(|result| **result == Inserted::New).count();
    assert_eq!((created, new.len()), (count, count), "{results:?}");
    for item in batches.iter().flatten().filter(|item| results[&item.id] != Inserted::New) {
        assert_eq!(results[&item.id], Inserted::SameExternalId(new[&item.external_id]));
    }
}

#[sqlx::test]
async fn concurrent_batches_with_the_same_external_ids_create_each_once(pool: PgPool) {
    let batches: Vec<_> = (0..4).map(|number| batch(number, 40)).collect();
    assert_each_is_created_once(&store(&pool), &batches, 40).await;
}

/// They may deadlock, and are repeated then.
#[sqlx::test]
async fn concurrent_batches_in_opposite_orders_create_each_once(pool: PgPool) {
    let opposite = |n: u16| Callback { phone_number: accepted(299 - n).phone_number, ..batch(1, 40).remove(n.into()) };
    let batches = [batch(0, 40), (0..40).map(opposite).collect()];
    assert_each_is_created_once(&store(&pool), &batches, 40).await;
}
