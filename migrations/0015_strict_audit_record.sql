-- audit_record() refuses an entry with a key that it does not know, or without one that it expects. Until now it stored null
-- for a misspelt or missing key. A column without a value is passed as null; only `event` may be absent.
create or replace function audit_record(entry jsonb) returns uuid language plpgsql as $$
declare
    expected constant text[] := array['id', 'timestamp', 'action', 'actor', 'outcome', 'campaignId', 'callbackId',
        'previousState', 'newState', 'latencyMs', 'callVolumeBefore', 'callVolumeAfter', 'answerRate', 'complianceHold',
        'triggeredBy', 'requestId', 'detail'];
    recorded uuid;
begin
    if entry is null then
        return null;
    end if;
    perform require_keys('audit entry', entry, expected, array['event']);
    perform require_keys('actor of an audit entry', entry -> 'actor', array['type', 'id', 'name']);
    insert into audit_entries (id, "timestamp", action, actor_type, actor_id, actor_name, outcome, campaign_id,
        callback_id, previous_state, new_state, latency_ms, call_volume_before, call_volume_after, answer_rate,
        compliance_hold, triggered_by, request_id, detail)
    select e.id, e."timestamp", e.action, e.actor ->> 'type', e.actor ->> 'id', e.actor ->> 'name', e.outcome,
        e."campaignId", e."callbackId", e."previousState", e."newState", e."latencyMs", e."callVolumeBefore",
        e."callVolumeAfter", e."answerRate", e."complianceHold", e."triggeredBy", e."requestId", e.detail
    from jsonb_to_record(entry) as e(id uuid, "timestamp" timestamptz, action text, actor jsonb, outcome text,
        "campaignId" text, "callbackId" uuid, "previousState" text, "newState" text, "latencyMs" bigint,
        "callVolumeBefore" bigint, "callVolumeAfter" bigint, "answerRate" double precision,
        "complianceHold" boolean, "triggeredBy" text, "requestId" text, detail jsonb)
    on conflict (id) do nothing
    returning audit_entries.id into recorded;
    if recorded is null then
        return (entry ->> 'id')::uuid;
    end if;
    if entry -> 'event' is not null then
        perform webhook_enqueue(entry -> 'event', entry ->> 'campaignId', (entry ->> 'timestamp')::timestamptz);
    end if;
    return recorded;
end $$;

-- Raises an error unless `object` is a JSON object with all `expected` keys and, besides them, only `optional` ones.
create function require_keys(what text, object jsonb, expected text[], optional text[] default '{}') returns void
    language plpgsql immutable as $$
declare
    wrong text;
begin
    if jsonb_typeof(object) is distinct from 'object' then
        raise exception '% is not an object', what using errcode = 'invalid_parameter_value';
    end if;
    if not object ?& expected then
        select string_agg(key, ', ') into wrong from unnest(expected) as key where not object ? key;
        raise exception '% lacks %', what, wrong using errcode = 'invalid_parameter_value';
    end if;
    if object - expected - optional <> '{}' then
        select string_agg(key, ', ') into wrong from jsonb_object_keys(object - expected - optional) as key;
        raise exception '% has unknown %', what, wrong using errcode = 'invalid_parameter_value';
    end if;
end $$;

-- An event has a campaign, since its deliveries are in order for each campaign.
create or replace function webhook_enqueue(event jsonb, campaign text, happened timestamptz) returns void
    language plpgsql as $$
declare
    event_seq bigint;
begin
    perform require_keys('webhook event', event, array['id', 'type', 'body']);
    if campaign is null then
        raise exception 'webhook event % has no campaign', event ->> 'id' using errcode = 'not_null_violation';
    end if;
    insert into webhook_events (id, type, campaign_id, body, created_at)
    select (event ->> 'id')::uuid, event ->> 'type', campaign, event ->> 'body', happened
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
