use super::*;
use crate::db::decode_cursor;

/// Callback number `n`, accepted `n` seconds after 14:00.
fn accepted_later(n: u16) -> Callback {
    let created_at = now() + SignedDuration::from_secs(i64::from(n));
    Callback { created_at, updated_at: created_at, ..accepted(n) }
}

async fn list(store: &CallbackStore, filter: &Filter) -> Vec<u128> {
    let page = store.page(filter, &PageRequest { limit: 50, after: None }).await.unwrap();
    assert_eq!(page.next_cursor, None);
    page.data.iter().map(|callback| callback.id.as_u128() - 1).collect()
}

#[sqlx::test]
async fn pages_are_newest_first_and_do_not_overlap(pool: PgPool) {
    let store = store(&pool);
    // Two of them were accepted at the same time.
    let same_time = Callback { created_at: accepted_later(2).created_at, updated_at: now(), ..accepted(5) };
    let updated = Callback { updated_at: same_time.created_at, ..same_time };
    insert(&store, &[accepted_later(0), accepted_later(1), accepted_later(2), accepted_later(3), updated]).await;
    let (mut listed, mut after) = (Vec::new(), None);
    loop {
        let page = store.page(&Filter::default(), &PageRequest { limit: 2, after }).await.unwrap();
        assert!(page.data.len() <= 2);
        listed.extend(page.data.iter().map(|callback| callback.id.as_u128() - 1));
        let Some(cursor) = page.next_cursor else { break };
        after = Some(decode_cursor(&cursor).unwrap());
    }
    assert_eq!(listed, [3, 5, 2, 1, 0]);
}

#[sqlx::test]
async fn each_filter_limits_the_list(pool: PgPool) {
    let store = store(&pool);
    let other = Callback { campaign_id: CampaignId::parse("other").unwrap(), ..accepted_later(1) };
    let external_id = ExternalId::parse("ticket 4711").ok();
    let third = Callback { external_id: external_id.clone(), ..accepted_later(3) };
    insert(&store, &[accepted_later(0), other, accepted_later(2), third]).await;
    store.cancel(accepted(2).id, now(), entry(&accepted(2), Action::CallbackCancelled)).await.unwrap().unwrap();
    for (filter, expected) in [
        (Filter::default(), vec![3, 2, 1, 0]),
        (Filter { status: Some(Status::Cancelled), ..Filter::default() }, vec![2]),
        (Filter { campaign_id: Some(CampaignId::parse("other").unwrap()), ..Filter::default() }, vec![1]),
        (Filter { phone_number: Some(accepted(3).phone_number), ..Filter::default() }, vec![3]),
        (Filter { external_id, ..Filter::default() }, vec![3]),
        (Filter { external_id: ExternalId::parse("ticket").ok(), ..Filter::default() }, vec![]),
        (Filter { from: Some(at("14:00:02")), ..Filter::default() }, vec![3, 2]),
        (Filter { to: Some(at("14:00:02")), ..Filter::default() }, vec![1, 0]),
        (Filter { from: Some(at("14:00:01")), status: Some(Status::Accepted), ..Filter::default() }, vec![3, 1]),
    ] {
        assert_eq!(list(&store, &filter).await, expected, "{filter:?}");
    }
}
