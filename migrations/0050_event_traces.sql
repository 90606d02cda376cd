-- The trace of the change that an event is about, so that its deliveries continue the trace on any replica.
alter table webhook_events add column traceparent text check (char_length(traceparent) <= 55);

create or replace function webhook_enqueue(event jsonb, campaign text, happened timestamptz) returns void
    language plpgsql as $$
declare
    event_seq bigint;
begin
    perform require_keys('webhook event', event, array['id', 'type', 'body'], array['traceparent']);
    if campaign is null then
        raise exception 'webhook event % has no campaign', event ->> 'id' using errcode = 'not_null_violation';
    end if;
    insert into webhook_events (id, type, campaign_id, body, created_at, traceparent)
    select (event ->> 'id')::uuid, event ->> 'type', campaign, event ->> 'body', happened, event ->> 'traceparent'
    where exists (
        select from webhook_endpoints as e
        where e.deleted_at is null and e.disabled_at is null and (e.events is null or event ->> 'type' = any(e.events))
    )
    returning seq into event_seq;
    if event_seq is null then
        return;
    end if;
    insert into webhook_deliveries (endpoint_id, event_seq, campaign_id, due_at, created_at, updated_at)
    select e.id, event_seq, campaign, happened, happened, happened
    from webhook_endpoints as e
    where e.deleted_at is null and e.disabled_at is null and (e.events is null or event ->> 'type' = any(e.events));
end $$;
