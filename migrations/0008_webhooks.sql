-- Who is told of changes. A secret is sealed under ENCRYPTION_KEY with the endpoint's id, so that a dump of this table
-- signs nothing; that of the endpoint in the configuration is not kept at all.
create table webhook_endpoints (
    id              uuid        primary key,
    url             text        not null check (char_length(url) <= 2048),
    -- All types, where null.
    events          text[]      check (cardinality(events) > 0),
    description     text        check (char_length(description) <= 200),
    is_configured   boolean     not null default false,
    secret          bytea,
    -- Those before it sign too, each until its moment (in milliseconds of the epoch).
    previous_secrets bytea[]    not null default '{}',
    previous_until  bigint[]    not null default '{}',
    -- Since its last success, where it has failed since.
    failing_since   timestamptz,
    disabled_at     timestamptz,
    disabled_reason text,
    deleted_at      timestamptz,
    created_at      timestamptz not null,

    constraint configured_keeps_no_secret check (is_configured = (secret is null)),
    constraint previous_secrets_have_ends check (cardinality(previous_secrets) = cardinality(previous_until)),
    constraint disabled_says_why check ((disabled_at is null) = (disabled_reason is null))
);

create unique index webhook_endpoints_one_configured on webhook_endpoints (url) where is_configured;

-- What happened, once and for all: the bytes that are signed and sent. Committed with the change itself.
create table webhook_events (
    seq          bigint      generated always as identity primary key,
    -- The audit entry's; receivers know an event by it (`webhook-id`).
    id           uuid        not null unique,
    type         text        not null,
    -- Events of one campaign are delivered in order.
    campaign_id  text        not null,
    body         text        not null,
    created_at   timestamptz not null
);

create index webhook_events_by_age on webhook_events (created_at);

-- One event to one endpoint. The row is the work, as everywhere: `due_at`, a lease, and `attempts` that fences.
create table webhook_deliveries (
    id           uuid        primary key default gen_random_uuid(),
    endpoint_id  uuid        not null references webhook_endpoints,
    event_seq    bigint      not null references webhook_events on delete cascade,
    campaign_id  text        not null,
    status       text        not null default 'pending' check (status in ('pending', 'succeeded', 'dead')),
    -- Of this round; redelivery begins a new one.
    attempts     integer     not null default 0 check (attempts >= 0),
    claims       integer     not null default 0,
    due_at       timestamptz,
    created_at   timestamptz not null,
    updated_at   timestamptz not null,

    unique (endpoint_id, event_seq),
    constraint due_while_pending check ((due_at is not null) = (status = 'pending'))
);

create index webhook_deliveries_work on webhook_deliveries (due_at) where status = 'pending';
create index webhook_deliveries_in_order on webhook_deliveries (endpoint_id, campaign_id, event_seq)
    where status = 'pending';
create index webhook_deliveries_by_event on webhook_deliveries (event_seq);
create index webhook_deliveries_newest on webhook_deliveries (endpoint_id, event_seq desc);

create table webhook_attempts (
    delivery_id uuid        not null references webhook_deliveries on delete cascade,
    at          timestamptz not null,
    duration_ms integer     not null check (duration_ms >= 0),
    -- None where there was no answer.
    status      smallint,
    error       text,
    answer      text,
    primary key (delivery_id, at)
);

-- Keeps an event for every endpoint that wants it; where none does, it is not kept.
create function webhook_enqueue(event jsonb, campaign text, happened timestamptz) returns void language plpgsql as $$
declare
    event_seq bigint;
begin
    if not exists (
        select from webhook_endpoints as e
        where e.deleted_at is null and e.disabled_at is null and (e.events is null or event ->> 'type' = any(e.events))
    ) then
        return;
    end if;
    insert into webhook_events (id, type, campaign_id, body, created_at)
    values ((event ->> 'id')::uuid, event ->> 'type', campaign, event ->> 'body', happened)
    returning seq into event_seq;
    insert into webhook_deliveries (endpoint_id, event_seq, campaign_id, due_at, created_at, updated_at)
    select e.id, event_seq, campaign, happened, happened, happened
    from webhook_endpoints as e
    where e.deleted_at is null and e.disabled_at is null and (e.events is null or event ->> 'type' = any(e.events));
end $$;

-- As before; and an entry that is to be told of takes its event with it into the same commit.
create or replace function audit_record(entry jsonb) returns uuid language plpgsql as $$
declare
    recorded uuid;
begin
    if entry is null then
        return null;
    end if;
    insert into audit_entries (id, "timestamp", action, actor_type, actor_id, actor_name, outcome, campaign_id,
        callback_id, previous_state, new_state, latency_ms, call_volume_before, call_volume_after, answer_rate,
        compliance_hold, triggered_by, request_id, detail)
    select e.id, e."timestamp", e.action, e.actor ->> 'type', e.actor ->> 'id', e.actor ->> 'name', e.outcome,
        e."campaignId", e."callbackId", e."previousState", e."newState", e."latencyMs", e."callVolumeBefore",
        e."callVolumeAfter", e."answerRate", e."complianceHold", e."triggeredBy", e."requestId",
        coalesce(e.detail, '{}')
    from jsonb_to_record(entry) as e(id uuid, "timestamp" timestamptz, action text, actor jsonb, outcome text,
        "campaignId" text, "callbackId" uuid, "previousState" text, "newState" text, "latencyMs" bigint,
        "callVolumeBefore" bigint, "callVolumeAfter" bigint, "answerRate" double precision,
        "complianceHold" boolean, "triggeredBy" text, "requestId" text, detail jsonb)
    returning audit_entries.id into recorded;
    if entry -> 'event' is not null then
        perform webhook_enqueue(entry -> 'event', coalesce(entry ->> 'campaignId', ''),
            (entry ->> 'timestamp')::timestamptz);
    end if;
    return recorded;
end $$;
