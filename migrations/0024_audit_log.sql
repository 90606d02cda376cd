-- The transparency log over the audit entries: one Merkle tree (RFC 6962). The leaves are in the order in which entries were
-- sealed. That is not the order of `seq`: an entry whose transaction commits late is sealed late, and a rollback leaves a gap.

-- The state of the sequencer. Whoever seals locks this row.
create table audit_log_head (
    id          boolean primary key default true check (id),
    size        bigint  not null default 0 check (size >= 0),
    -- Each entry with a seq up to this one is sealed. A seq up to it without a leaf was rolled back.
    settled_seq bigint  not null default 0 check (settled_seq >= 0),
    -- Entries with a seq up to mark_seq belong to transactions before mark_xid, except for later ones that do not exist yet.
    -- Once all of those have ended, mark_seq can be settled.
    mark_xid    xid8,
    mark_seq    bigint,
    constraint mark_is_whole check ((mark_xid is null) = (mark_seq is null))
);
insert into audit_log_head default values;

-- Tiles of hashes, as C2SP tlog-tiles defines them: 256 hashes of 32 bytes, fewer in the last tile of each level.
create table audit_log_tiles (
    level  smallint not null check (level between 0 and 7),
    tile   bigint   not null check (tile >= 0),
    hashes bytea    not null check (octet_length(hashes) between 32 and 8192 and octet_length(hashes) % 32 = 0),
    primary key (level, tile)
);
-- Hashes do not compress.
alter table audit_log_tiles alter hashes set storage external;

-- The entries whose hashes are in a tile of level 0, in the same order.
create table audit_log_leaves (
    tile      bigint   primary key check (tile >= 0),
    seqs      bigint[] not null check (cardinality(seqs) between 1 and 256),
    first_seq bigint   not null,
    last_seq  bigint   not null check (last_seq >= first_seq)
);
create index audit_log_leaves_by_last_seq on audit_log_leaves (last_seq);

-- Signed tree heads, as C2SP tlog-checkpoint defines them.
create table audit_checkpoints (
    size       bigint      primary key check (size > 0),
    root       bytea       not null check (octet_length(root) = 32),
    checkpoint text        not null,
    signed_at  timestamptz not null
);

-- Signatures of witnesses on checkpoints, as C2SP tlog-cosignature defines them: lines of a signed note.
create table audit_cosignatures (
    size        bigint      not null references audit_checkpoints,
    signature   text        not null check (signature ~ '^— [^\n]+\n$' and length(signature) <= 1000),
    received_at timestamptz not null,
    primary key (size, signature)
);

-- The log only grows.
create function audit_log_refuse_rewrite() returns trigger language plpgsql as $$
declare
    grows boolean := false;
begin
    if tg_op = 'UPDATE' then
        if tg_table_name = 'audit_log_head' then
            grows := new.size >= old.size and new.settled_seq >= old.settled_seq;
        elsif tg_table_name = 'audit_log_tiles' then
            grows := new.level = old.level and new.tile = old.tile
                and substr(new.hashes, 1, octet_length(old.hashes)) = old.hashes;
        else
            grows := new.tile = old.tile and new.seqs[1:cardinality(old.seqs)] = old.seqs;
        end if;
    end if;
    if not grows then
        raise exception '% is only ever extended', tg_table_name using errcode = 'insufficient_privilege';
    end if;
    return new;
end $$;

create trigger audit_log_head_grows before update or delete on audit_log_head
    for each row execute function audit_log_refuse_rewrite();
create trigger audit_log_tiles_grow before update or delete on audit_log_tiles
    for each row execute function audit_log_refuse_rewrite();
create trigger audit_log_leaves_grow before update or delete on audit_log_leaves
    for each row execute function audit_log_refuse_rewrite();
create trigger audit_checkpoints_stay before update or delete on audit_checkpoints
    for each row execute function audit_refuse_change();
create trigger audit_cosignatures_stay before update or delete or truncate on audit_cosignatures
    for each statement execute function audit_refuse_change();
create trigger audit_log_head_stays before truncate on audit_log_head
    for each statement execute function audit_refuse_change();
create trigger audit_log_tiles_stay before truncate on audit_log_tiles
    for each statement execute function audit_refuse_change();
create trigger audit_log_leaves_stay before truncate on audit_log_leaves
    for each statement execute function audit_refuse_change();
create trigger audit_checkpoints_truncate before truncate on audit_checkpoints
    for each statement execute function audit_refuse_change();

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
