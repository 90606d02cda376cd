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
    -- Held until the commit, so that the order of `seq` is that of the commits within the campaign. A transaction locks all
    -- rows of callbacks and campaigns before this, and publishes in the order of the campaigns: otherwise two of them deadlock.
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

-- Locks the callback that becomes the first one of its number for the campaign when the current first one ends, and returns its id.
create function callbacks_lock_next_first(number text, campaign text) returns uuid language plpgsql as $$
declare
    next_first uuid;
begin
    select id into next_first from callbacks
    where substr(phone_number, 2)::bigint = substr(number, 2)::bigint and campaign_id = campaign
      and status in ('accepted', 'scheduled') and among_open <> 'only' and among_open = 'other'
    -- As a text, so that Postgres never reads all callbacks in the order of the index of ids.
    order by id::text
    limit 1
    for update;
    return next_first;
end $$;

-- As before, but of the others always the same one is chosen.
create or replace function callbacks_choose_first() returns trigger language plpgsql as $$
declare
    next_first constant uuid := callbacks_lock_next_first(old.phone_number, old.campaign_id);
begin
    update callbacks set among_open = 'first' where id = next_first;
    return null;
end $$;

create function callbacks_lock_before_end() returns trigger language plpgsql as $$
begin
    perform callbacks_lock_next_first(old.phone_number, old.campaign_id);
    return new;
end $$;

-- `callbacks_choose_first` runs at the end of the statement, which has published its event by then. Another transaction may have
-- locked the next first callback and wait to publish. So it is locked before the first one is changed.
-- online: the lock lasts until the commit, and nothing else follows.
create trigger callbacks_lock_before_end before update of status, phone_number on callbacks for each row
    when (old.among_open = 'first' and old.status in ('accepted', 'scheduled') and old.phone_number is not null
        and (new.status not in ('accepted', 'scheduled') or new.phone_number is null))
    execute function callbacks_lock_before_end();
