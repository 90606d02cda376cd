-- A campaign that Ringback has been told something about: what CXone last showed, what it was told, and when it is next
-- to be looked at. Whoever talks to CXone about a campaign holds its lease; every change names the `revision` that it
-- was decided on, and adds one.
create table campaigns (
    campaign_id    text        primary key check (campaign_id ~ '^[A-Za-z0-9_-]{1,64}$'),
    state          text        check (state in ('ACTIVE', 'PAUSED', 'INACTIVE', 'SUSPENDED')),
    state_seen_at  timestamptz,
    -- What Ringback itself told CXone last, for as long as it matters: {state, reason, until, confirmed}.
    told           jsonb       check (jsonb_typeof(told) = 'object'),
    -- A command to resume that CXone has not confirmed yet.
    resume         jsonb       check (jsonb_typeof(resume) = 'object'),
    -- Until then somebody with the right to do so has put the regulatory window aside.
    override_until timestamptz,
    -- Attempts in a row that CXone did not carry out, and what the last of them met with.
    failures       integer     not null default 0 check (failures >= 0),
    failure_code   text,
    failure_detail text,
    due_at         timestamptz,
    revision       bigint      not null default 1 check (revision > 0),
    leased_by      uuid,
    leased_until   timestamptz,
    created_at     timestamptz not null,
    updated_at     timestamptz not null,

    constraint seen_has_a_time check ((state is null) = (state_seen_at is null)),
    constraint failure_has_both_parts check ((failure_code is null) = (failure_detail is null)),
    constraint lease_has_both_parts check ((leased_by is null) = (leased_until is null))
);

create index campaigns_work on campaigns (due_at) where due_at is not null;
create index campaigns_newest on campaigns (created_at desc, campaign_id desc);

insert into campaigns (campaign_id, created_at, updated_at)
select campaign_id, updated_at, updated_at from campaign_settings;

-- A reason for a campaign not to dial. While one is in force the campaign is kept paused; a lifted one is history.
create table campaign_holds (
    id                uuid        primary key,
    campaign_id       text        not null references campaigns,
    reason            text        not null
        check (reason in ('COMPLIANCE_HOLD', 'CARRIER_THROTTLE', 'AGENT_CAPACITY', 'SCHEDULED')),
    compliance        boolean     not null,
    triggered_by      text        not null
        check (triggered_by in ('MANUAL_PAUSE', 'SLIDING_WINDOW_THROTTLE', 'REGULATORY_WINDOW')),
    placed_by         jsonb       not null check (jsonb_typeof(placed_by) = 'object'),
    placed_at         timestamptz not null,
    ends_at           timestamptz,
    max_agents        bigint      check (max_agents >= 0),
    -- Where the pause named one; else that of the campaign's settings holds.
    regulatory_window jsonb       check (jsonb_typeof(regulatory_window) = 'object'),
    request_id        text,
    lifted_at         timestamptz,
    lifted_by         jsonb       check (jsonb_typeof(lifted_by) = 'object'),

    constraint a_compliance_hold_has_an_end check (not compliance or ends_at is not null),
    constraint lifted_says_by_whom check ((lifted_at is null) = (lifted_by is null))
);

create index campaign_holds_left on campaign_holds (campaign_id) where lifted_at is null;
-- The close of the window places one hold, whichever replica sees it first.
create unique index one_hold_for_a_closed_window on campaign_holds (campaign_id)
    where triggered_by = 'REGULATORY_WINDOW' and lifted_at is null;

-- A hold is lifted once, and otherwise never changes.
create function campaign_holds_refuse_change() returns trigger language plpgsql as $$
begin
    if tg_op = 'UPDATE' and old.lifted_at is null and new.lifted_at is not null
        and to_jsonb(new) - '{lifted_at,lifted_by}'::text[] = to_jsonb(old) - '{lifted_at,lifted_by}'::text[] then
        return new;
    end if;
    raise exception 'a hold is lifted once, and never changed otherwise' using errcode = 'insufficient_privilege';
end $$;

create trigger campaign_holds_only_lifted before update or delete on campaign_holds
    for each row execute function campaign_holds_refuse_change();

-- Whoever changed a campaign in CXone, and was not Ringback.
alter table audit_entries drop constraint audit_entries_actor_type_check;
alter table audit_entries add constraint audit_entries_actor_type_check
    check (actor_type in ('api_key', 'operator', 'system', 'external'));
