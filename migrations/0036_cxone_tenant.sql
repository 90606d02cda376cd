-- What is remembered about the tenant of CXone's other API.
create table cxone_stopped_skills (
    campaign_id text        not null,
    skill_id    bigint      not null check (skill_id > 0),
    is_starting boolean     not null,
    changed_at  timestamptz not null,
    primary key (campaign_id, skill_id)
);
comment on table cxone_stopped_skills is 'The dialer skills that Ringback has stopped and not started again.';
comment on column cxone_stopped_skills.is_starting is 'Its start was sent, and is not confirmed.';

create table cxone_tenant (
    only_one       boolean     primary key default true check (only_one),
    callback_times text        not null check (callback_times in ('utc', 'business-unit')),
    time_zone      text,
    verified_at    timestamptz not null,
    constraint local_times_have_a_zone check ((callback_times = 'business-unit') = (time_zone is not null))
);
comment on column cxone_tenant.callback_times is 'How CXone reads the time of a callback, as its first callback has shown.';
