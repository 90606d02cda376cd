-- The forecast that is made from the history of CXone's other API.
create table cxone_forecast (
    only_one     boolean     primary key default true check (only_one),
    due_at       timestamptz not null,
    refreshed_at timestamptz,
    time_zone    text,
    constraint quarters_have_a_zone check ((refreshed_at is null) = (time_zone is null))
);
comment on column cxone_forecast.due_at is 'When it is to be refreshed. The replica that moves it forward refreshes it.';
comment on column cxone_forecast.time_zone is 'The zone of the quarters: that of the business unit.';

create table cxone_forecast_quarters (
    skill_id          bigint           not null check (skill_id > 0),
    weekday           smallint         not null check (weekday between 1 and 7),
    quarter           smallint         not null check (quarter between 0 and 95),
    expected_contacts double precision not null check (expected_contacts >= 0),
    handle_seconds    double precision not null check (handle_seconds >= 0),
    agents            double precision not null check (agents >= 0),
    primary key (skill_id, weekday, quarter)
);
comment on table cxone_forecast_quarters is 'What a skill is expected to have in a quarter of an hour of a week. Quarters without contacts and agents are left out.';
comment on column cxone_forecast_quarters.weekday is '1 is Monday.';
comment on column cxone_forecast_quarters.quarter is 'Of the local day, from 0.';
