-- What placements reserve capacity by.
create table callback_demand (
    campaign_id text     not null,
    day         date     not null,
    hour        smallint not null check (hour between 0 and 23),
    hours       smallint not null check (hours between 1 and 5),
    lead        smallint not null check (lead between 0 and 25),
    requests    integer  not null check (requests > 0),
    primary key (campaign_id, day, hour, hours, lead)
);
comment on table callback_demand is 'How many requests for callbacks came, by the beginning of their window in local time. Kept for 8 weeks.';
comment on column callback_demand.hours is 'The whole hours of UTC that the window overlaps.';
comment on column callback_demand.lead is
    'The hours from the request to the first hour of the window, rounded up; 0 if it had begun, 25 for more than 24.';

create table placement_plans (
    campaign_id    text        primary key,
    version        bigint      not null default 0,
    planned_at     timestamptz,
    valid_until    timestamptz,
    forecast       text,
    due_at         timestamptz,
    claimed_at     timestamptz,
    placements     integer     not null default 0,
    last_placed_at timestamptz not null,
    counted_until  timestamptz,
    time_zone      text,
    constraint a_plan_has_its_times check ((planned_at is null) = (valid_until is null))
);
comment on table placement_plans is 'One row for each campaign with placements. A plan that is not valid any more is not used.';
comment on column placement_plans.forecast is 'The version of the forecast that the plan was made by.';
comment on column placement_plans.due_at is 'When it is to be planned again. The replica that moves it forward does so.';
comment on column placement_plans.claimed_at is 'When a replica last began to plan.';
comment on column placement_plans.placements is 'Since then.';
comment on column placement_plans.counted_until is 'Callbacks that were created before are counted in callback_demand.';
comment on column placement_plans.time_zone is 'The zone of callback_demand.';
create index placement_plans_due on placement_plans (due_at) where due_at is not null;

create table placement_places (
    campaign_id text             not null references placement_plans on delete cascade,
    hour        timestamptz      not null,
    first_hour  timestamptz      not null,
    hours       smallint         not null,
    places      double precision not null check (places > 0),
    spent       double precision not null default 0 check (spent between 0 and places),
    primary key (campaign_id, hour, first_hour, hours)
);
comment on table placement_places is
    'The places that the plan of a campaign keeps in an hour for requests whose windows overlap the same hours.';

create table callback_placements (
    callback_id uuid        primary key references callbacks on delete cascade,
    decided_at  timestamptz not null,
    decision    jsonb       not null
);
comment on table callback_placements is 'The last placement of each callback, with all that it was decided by.';
