-- Concurrent replicas wait for each other at the update; then those that come second see that it is too early.
with subscribed as (
    select id from webhook_endpoints
    where deleted_at is null and disabled_at is null and $5::text = any(events)
),
due as (
    update webhook_last_checkpoint set size = $1, published_at = $2
    where size < $1 and (published_at is null or published_at <= $3) and exists (select from subscribed)
    returning size
),
event as (
    insert into webhook_events (id, type, campaign_id, body, created_at)
    select $4, $5, $5, $6, $2 from due
    returning seq
)
insert into webhook_deliveries (endpoint_id, event_seq, campaign_id, due_at, created_at, updated_at)
select subscribed.id, event.seq, $5, $2, $2, $2 from event cross join subscribed
