-- What happened, who did it, and how it ended. Rows are written once, by audit_record(), and never again.
create table audit_entries (
    seq                bigint           generated always as identity primary key,
    id                 uuid             not null unique,
    "timestamp"        timestamptz      not null,
    action             text             not null check (action ~ '^[a-z]+(\.[a-z_]+)+$'),
    actor_type         text             not null check (actor_type in ('api_key', 'operator', 'system')),
    actor_id           text             not null,
    actor_name         text             not null,
    outcome            text             not null
        check (outcome in ('succeeded', 'failed', 'refused', 'unchanged', 'pending', 'unknown')),
    campaign_id        text,
    callback_id        uuid,
    previous_state     text,
    new_state          text,
    latency_ms         bigint,
    call_volume_before bigint,
    call_volume_after  bigint,
    answer_rate        double precision check (answer_rate between 0 and 1),
    compliance_hold    boolean,
    triggered_by       text,
    request_id         text,
    detail             jsonb            not null default '{}'
);

create index audit_entries_by_campaign on audit_entries (campaign_id, seq desc) where campaign_id is not null;
create index audit_entries_by_callback on audit_entries (callback_id, seq desc) where callback_id is not null;
create index audit_entries_by_time on audit_entries ("timestamp");

-- The one way in. It is called inside the statement that makes the change, so that a step and its entry are one round
-- trip and one commit. No entry given, none written.
create function audit_record(entry jsonb) returns uuid language plpgsql as $$
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
    return recorded;
end $$;

create function audit_refuse_change() returns trigger language plpgsql as $$
begin
    raise exception 'audit entries are never changed or deleted' using errcode = 'insufficient_privilege';
end $$;

-- For each statement, so that even one that matches no row is refused; `always`, so that a session that plays a
-- replica (session_replication_role) does not get past it.
create trigger audit_entries_append_only before update or delete or truncate on audit_entries
    for each statement execute function audit_refuse_change();
alter table audit_entries enable always trigger audit_entries_append_only;
