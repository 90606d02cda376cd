-- What Ringback has sent to CXone about a campaign: {pause, change, doubts, refusals}. It replaces `told`, which knew of one
-- request only, and was forgotten when CXone said anything unexpected.
alter table campaigns add column last_sent jsonb check (jsonb_typeof(last_sent) = 'object');

update campaigns set last_sent = jsonb_build_object(
    'pause', case when (told ->> 'is_ours')::boolean or told ->> 'state' = 'PAUSED' then jsonb_build_object(
        'reason', told -> 'reason', 'until', told -> 'until', 'agents', null, 'agents_before', null, 'is_plain', false,
        'cause', told -> 'cause' || '{"command_id": null}') end,
    'change', case when not (told ->> 'confirmed')::boolean then jsonb_build_object(
        'id', gen_random_uuid(), 'state', told -> 'state', 'cause', told -> 'cause' || '{"command_id": null}') end,
    'doubts', '[]'::jsonb,
    'refusals', 0)
where told is not null;

alter table campaigns drop column told;

-- A resume has the cause that its entry will show, and may be that of a hold's end.
update campaigns set resume = jsonb_build_object(
    'cause', jsonb_build_object(
        'by', resume -> 'by', 'triggered_by', 'MANUAL_RESUME', 'request_id', resume -> 'request_id',
        'since', resume -> 'asked_at', 'previous', 'PAUSED', 'overrode', resume -> 'overrode',
        'counts', '{"attempts": 0, "answers": 0}'::jsonb, 'by_answer_rate', false, 'affected_callbacks', null,
        'command_id', null),
    'is_scheduled', false,
    'max_agents', resume -> 'max_agents',
    'windows', resume -> 'windows',
    'forced_until', resume -> 'forced_until')
where resume is not null;

-- A routine check has its own share of CXone's quota, so its turn comes apart from what is due.
alter table campaigns add column check_at timestamptz;
update campaigns set check_at = due_at where due_at is not null;
create index campaigns_checks on campaigns (check_at) where check_at is not null;

-- What the dialer had done when the hold was asked for, and the campaign's revision that placed it.
alter table campaign_holds add column counts jsonb not null default '{"attempts": 0, "answers": 0}'
    check (jsonb_typeof(counts) = 'object');
alter table campaign_holds add column revision bigint not null default 0 check (revision >= 0);

-- A hold is lifted once. Until then the same pause again can move its end, only later, and takes over its revision; nothing
-- else of it ever changes.
create or replace function campaign_holds_refuse_change() returns trigger language plpgsql as $$
declare
    lifting constant text[] := '{lifted_at,lifted_by}';
    refreshing constant text[] := '{ends_at,revision}';
begin
    if tg_op = 'UPDATE' and old.lifted_at is null and new.lifted_at is not null
        and to_jsonb(new) - lifting = to_jsonb(old) - lifting then
        return new;
    end if;
    if tg_op = 'UPDATE' and old.lifted_at is null and new.revision >= old.revision
        and coalesce(new.ends_at, 'infinity') >= coalesce(old.ends_at, 'infinity')
        and to_jsonb(new) - refreshing = to_jsonb(old) - refreshing then
        return new;
    end if;
    raise exception 'a hold is lifted once, its end is only moved later, and it never changes otherwise'
        using errcode = 'insufficient_privilege';
end $$;

-- What a command was answered with, so that the same command is not carried out twice: under its idempotency key it may
-- come again after its hold was lifted.
create table campaign_commands (
    id          uuid        primary key,
    campaign_id text        not null references campaigns on delete cascade,
    report      jsonb       not null check (jsonb_typeof(report) = 'object'),
    created_at  timestamptz not null default clock_timestamp()
);

create index campaign_commands_old on campaign_commands (created_at);
