-- As before, but an entry whose number is taken is an error: somebody with the role of the service may have inserted an entry
-- with the number that comes next.
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
    -- Before `seq` is taken: a transaction that begins later has a higher seq. The sequencer relies on it.
    perform pg_current_xact_id();
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
    on conflict do nothing
    returning audit_entries.id into recorded;
    if recorded is null then
        if not exists (select from audit_entries where id = (entry ->> 'id')::uuid) then
            raise exception 'another audit entry has the number of this one' using errcode = 'integrity_constraint_violation';
        end if;
        return (entry ->> 'id')::uuid;
    end if;
    if entry -> 'event' is not null then
        perform webhook_enqueue(entry -> 'event', entry ->> 'campaignId', (entry ->> 'timestamp')::timestamptz);
    end if;
    return recorded;
end $$;

-- As before, but no sealing runs at the same time: what is not sealed before it is dropped could not be told from what was deleted.
create or replace function audit_expire_before(cutoff timestamptz) returns text language plpgsql set lock_timeout = '100ms' as $$
declare
    oldest record;
    log record;
    last bigint;
    dropped bigint;
    earlier jsonb;
    sealed bigint;
begin
    select partition::text, until into oldest from audit_partitions order by until limit 1;
    if oldest.until is null or cutoff is null or oldest.until > cutoff then
        return null;
    end if;
    select size, settled_seq into log from audit_log_head for update;
    execute format('select max(seq) from %s', oldest.partition) into last;
    if log.size > 0 and log.settled_seq < last then
        return null;
    end if;
    execute format('lock table %s in share mode', oldest.partition);
    execute format('select count(*), max(seq) from %s', oldest.partition) into dropped, last;
    if log.size > 0 and log.settled_seq < last then
        return null;
    end if;
    select detail into earlier from audit_entries where action = 'audit.expired' order by seq desc limit 1;
    -- Writers wait while this waits.
    lock table audit_entries in access exclusive mode;
    execute format('alter table audit_entries detach partition %s', oldest.partition);
    execute format('drop table %s', oldest.partition);
    if dropped > 0 then
        sealed := case when log.size > 0 then dropped else 0 end;
        perform pg_current_xact_id();
        insert into audit_entries (id, "timestamp", action, actor_type, actor_id, actor_name, outcome, detail)
        values (gen_random_uuid(), now(), 'audit.expired', 'system', 'retention', 'ringback', 'succeeded', jsonb_build_object(
            'before', oldest.until,
            'dropped', dropped,
            'entries', sealed + coalesce((earlier ->> 'entries')::bigint, 0),
            'lastSeq', greatest(case when sealed > 0 then last end, (earlier ->> 'lastSeq')::bigint, 0)));
    end if;
    return oldest.partition;
end $$;

-- No temporary table of the caller stands in for the audit log.
do $$
begin
    execute format('alter function audit_refuse_entry_of_owner() set search_path = %I, pg_temp', current_schema());
end $$;
