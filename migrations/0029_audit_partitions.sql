-- The audit log in partitions by month, and what drops the old ones.

alter table audit_entries rename to audit_entries_first;
do $$
declare
    index text;
begin
    for index in
        select indexrelid::regclass::text from pg_index where indrelid = 'audit_entries_first'::regclass
    loop
        execute format('alter index %I rename to %I', index, replace(index, 'audit_entries_', 'audit_entries_first_'));
    end loop;
end $$;

create table audit_entries (like audit_entries_first including defaults including constraints)
    partition by range ("timestamp");
alter table audit_entries drop constraint if exists audit_entries_before;

-- The sequence goes on. Each partition has its own keys: an id is unique within its month.
do $$
declare
    last bigint;
    called boolean;
begin
    select last_value, is_called into last, called from audit_entries_seq_seq;
    alter table audit_entries_first alter seq drop identity;
    alter table audit_entries alter seq add generated always as identity;
    perform setval('audit_entries_seq_seq', last, called);
end $$;

-- Replicas of the version before go on: their role may do with the new table what it could with the old one, and nothing with a
-- partition.
do $$
declare
    given record;
begin
    for given in
        select acl.grantee::regrole::text as role, acl.privilege_type as privilege
        from pg_class as c cross join aclexplode(c.relacl) as acl
        where c.oid = 'audit_entries_first'::regclass and acl.grantee not in (c.relowner, 0)
    loop
        execute format('grant %s on audit_entries to %s', given.privilege, given.role);
        execute format('revoke %s on audit_entries_first from %s', given.privilege, given.role);
        execute format('grant usage, select on sequence audit_entries_seq_seq to %s', given.role);
    end loop;
end $$;

create index audit_entries_by_time on audit_entries ("timestamp", seq) where seq > 0;
create index audit_entries_by_campaign on audit_entries (campaign_id, "timestamp", seq) where campaign_id is not null;
create index audit_entries_by_callback on audit_entries (callback_id) where callback_id is not null;
create index audit_entries_by_action on audit_entries (action, "timestamp", seq) where action <> 'callback.accepted';
create index audit_entries_by_outcome on audit_entries (outcome, "timestamp", seq) where outcome <> 'succeeded';
create index audit_entries_by_actor_id on audit_entries (actor_id, "timestamp", seq);
create index audit_entries_by_actor_name on audit_entries (actor_name, "timestamp", seq);

create trigger audit_entries_append_only before update or delete or truncate on audit_entries
    for each statement execute function audit_refuse_change();
alter table audit_entries enable always trigger audit_entries_append_only;

-- What verification relies on is recorded by functions of the owner.
create function audit_refuse_entry_of_owner() returns trigger language plpgsql as $$
begin
    if not pg_has_role(current_user, (select relowner from pg_class where oid = 'audit_entries'::regclass), 'usage') then
        raise exception 'only the owner of the audit log records %', new.action using errcode = 'insufficient_privilege';
    end if;
    return new;
end $$;
create trigger audit_entries_of_owner before insert on audit_entries for each row
    when (new.action in ('audit.expired', 'audit.retention_changed')) execute function audit_refuse_entry_of_owner();

do $$
declare
    last timestamptz := (select max("timestamp") from audit_entries_first);
begin
    execute format('alter table audit_entries attach partition audit_entries_first for values from (minvalue) to (%L)',
        case when last is null then audit_month(now()) else audit_month(greatest(last, now()) + interval '1 day', 1) end);
    alter table audit_entries_first drop constraint if exists audit_entries_before;
end $$;

-- A partition accepts entries through the table alone, also from a role that may use all tables.
create function audit_attach_partition(name text, bounds text) returns void language plpgsql as $$
begin
    execute format('create table %I (like audit_entries including all, primary key (seq), unique (id))', name);
    execute format('alter table %I alter seq drop identity if exists', name);
    execute format('revoke all on %I from public', name);
    execute format('create trigger audit_entries_append_only before update or delete or truncate on %I
        for each statement execute function audit_refuse_change()', name);
    execute format('alter table %I enable always trigger audit_entries_append_only', name);
    execute format('alter table audit_entries attach partition %I %s', name, bounds);
end $$;

-- For entries of a month without a partition, so that none is ever refused.
select audit_attach_partition('audit_entries_other', 'default');

-- The partitions that have an end, with that end.
create view audit_partitions as
select p.partition, p.until
from (
    select i.inhrelid::regclass as partition,
        substring(pg_get_expr(c.relpartbound, c.oid) from 'TO \(''(.+)''\)')::timestamptz as until
    from pg_inherits as i join pg_class as c on c.oid = i.inhrelid
    where i.inhparent = 'audit_entries'::regclass
) as p
where p.until is not null;

-- Creates the partitions of this month and the next two where they do not exist. Returns how many it created. Where entries of the
-- month are in audit_entries_other, the partition is for the rest of the month.
create function audit_create_partitions() returns integer
    language plpgsql security definer set lock_timeout = '1s' as $$
declare
    created integer := 0;
    month timestamptz;
    next_month timestamptz;
    beginning timestamptz;
    name text;
begin
    perform pg_advisory_xact_lock(hashtext('audit_create_partitions'));
    for months in 0..2 loop
        month := audit_month(now(), months);
        next_month := audit_month(now(), months + 1);
        name := 'audit_entries_' || to_char(month at time zone 'utc', 'YYYY_MM');
        continue when to_regclass(name) is not null
            or exists (select from audit_partitions where until > month and partition = to_regclass('audit_entries_first'));
        beginning := coalesce((select max("timestamp") + interval '1 microsecond' from audit_entries_other
            where "timestamp" >= month and "timestamp" < next_month and seq > 0), month);
        continue when beginning >= next_month;
        perform audit_attach_partition(name, format('for values from (%L) to (%L)', beginning, next_month));
        created := created + 1;
    end loop;
    return created;
end $$;

-- For how long entries are kept, in days; null: for ever. The owner of the tables sets it.
create table audit_retention (
    id   boolean primary key default true check (id),
    days integer check (days >= 0)
);
insert into audit_retention default values;

-- Drops the oldest partition, if all that it can hold is before the given time, and what it holds is sealed (or the log never was).
-- Records how many entries it had, how many sealed ones were ever dropped, and the last of those. Returns its name.
create function audit_expire_before(cutoff timestamptz) returns text language plpgsql set lock_timeout = '100ms' as $$
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
    select size, settled_seq into log from audit_log_head;
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

-- The same for the retention that is set.
create function audit_expire() returns text language plpgsql security definer as $$
declare
    kept integer;
begin
    -- One replica at a time.
    select days into kept from audit_retention for update skip locked;
    return audit_expire_before(now() - make_interval(days => kept));
end $$;

-- Of the checkpoints of an hour, the last one is kept once a day has passed, and those that have signatures of witnesses.
create function audit_can_be_deleted(checkpoint audit_checkpoints) returns boolean language sql stable as $$
    select checkpoint.signed_at < now() - interval '1 day' and coalesce((
        select later.signed_at >= date_trunc('hour', checkpoint.signed_at, 'UTC')
            and later.signed_at < date_trunc('hour', checkpoint.signed_at, 'UTC') + interval '1 hour'
        from audit_checkpoints as later
        where later.size > checkpoint.size and later.size <= (select size from audit_log_head)
        order by later.size limit 1
    ), false)
$$;

create function audit_refuse_delete_of_checkpoint() returns trigger language plpgsql as $$
begin
    if not audit_can_be_deleted(old) then
        raise exception 'the last checkpoint of an hour is never deleted' using errcode = 'insufficient_privilege';
    end if;
    return old;
end $$;

drop trigger audit_checkpoints_stay on audit_checkpoints;
create trigger audit_checkpoints_stay before update on audit_checkpoints
    for each row execute function audit_refuse_change();
create trigger audit_checkpoints_last_of_hour before delete on audit_checkpoints
    for each row execute function audit_refuse_delete_of_checkpoint();

create function audit_thin_checkpoints(most integer) returns integer language plpgsql security definer as $$
declare
    deleted integer;
begin
    delete from audit_checkpoints where size in (
        select c.size from audit_checkpoints as c
        where audit_can_be_deleted(c) and not exists (select from audit_cosignatures as s where s.size = c.size)
        order by c.size limit most);
    get diagnostics deleted = row_count;
    return deleted;
end $$;

-- No temporary table of the caller stands in for a table that these functions use, and its time zone changes no bound.
do $$
declare
    name text;
begin
    foreach name in array array['audit_create_partitions()', 'audit_expire()', 'audit_thin_checkpoints(integer)'] loop
        execute format('alter function %s set search_path = %I, pg_temp', name, current_schema());
        execute format('alter function %s set timezone = ''UTC''', name);
        execute format('alter function %s set datestyle = ''ISO, YMD''', name);
    end loop;
end $$;

-- As before, but for the index that finds an entry with the same id: each partition has its own.
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
        return (entry ->> 'id')::uuid;
    end if;
    if entry -> 'event' is not null then
        perform webhook_enqueue(entry -> 'event', entry ->> 'campaignId', (entry ->> 'timestamp')::timestamptz);
    end if;
    return recorded;
end $$;

select audit_create_partitions();
