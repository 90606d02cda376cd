-- What CXone reports of the calls of campaigns whose answer rate is read there.
create table answer_rate_intervals (
    campaign_id text        not null,
    skill_id    bigint      not null check (skill_id > 0),
    starts_at   timestamptz not null,
    attempts    bigint      not null check (attempts >= 0),
    answers     bigint      not null check (answers >= 0),
    primary key (campaign_id, skill_id, starts_at)
);
comment on table answer_rate_intervals is
    'The most that was read of each interval of a skill. Only what a later read has beyond it is counted, so that no call counts twice.';
create index answer_rate_intervals_by_time on answer_rate_intervals (starts_at);

create table answer_rate_reads (
    campaign_id text        primary key,
    read_at     timestamptz not null
);
comment on table answer_rate_reads is 'When the intervals of a campaign were last read.';

create table answer_rate_poll (
    only_one boolean     primary key default true check (only_one),
    due_at   timestamptz not null default '-infinity',
    lease    uuid
);
comment on table answer_rate_poll is 'When intervals are read next. One replica at a time reads them: due_at is then the end of its lease.';
insert into answer_rate_poll default values;
