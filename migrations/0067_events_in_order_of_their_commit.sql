-- As before, but events of one campaign are committed in the order of their `seq`. It is taken before the commit: of two
-- transactions, the one with the later event could commit first, and its event was sent first.
create or replace function webhook_enqueue(event jsonb, campaign text, happened timestamptz) returns void
    language plpgsql as $$
declare
    event_seq bigint;
begin
    perform require_keys('webhook event', event, array['id', 'type', 'body'], array['traceparent']);
    if campaign is null then
        raise exception 'webhook event % has no campaign', event ->> 'id' using errcode = 'not_null_violation';
    end if;
    if not exists (
        select from webhook_endpoints as e
        where e.deleted_at is null and e.disabled_at is null and (e.events is null or event ->> 'type' = any(e.events))
    ) then
        return;
    end if;
    -- Held until the commit, so that the order of `seq` is that of the commits within the campaign. A statement that publishes
    -- for several campaigns locks all rows first, and publishes in the order of the campaigns: two of them do not deadlock.
    perform pg_advisory_xact_lock(hashtextextended('events ' || campaign, 0));
    insert into webhook_events (id, type, campaign_id, body, created_at, traceparent)
    values ((event ->> 'id')::uuid, event ->> 'type', campaign, event ->> 'body', happened, event ->> 'traceparent')
    returning seq into event_seq;
    insert into webhook_deliveries (endpoint_id, event_seq, campaign_id, due_at, created_at, updated_at)
    select e.id, event_seq, campaign, happened, happened, happened
    from webhook_endpoints as e
    where e.deleted_at is null and e.disabled_at is null and (e.events is null or event ->> 'type' = any(e.events));
end $$;

comment on column webhook_events.campaign_id is
    'Events with the same are delivered in order. Events without a campaign have: their own id (webhook.test), or their type (audit.checkpoint).';
