-- What dialers did, as counters in steps of a sixtieth of the campaign's window. Replicas add to them a few times a
-- second. Rows of another window length or another epoch (the campaign was started anew) do not count together.
create table answer_rate_buckets (
    campaign_id  text        not null check (campaign_id ~ '^[A-Za-z0-9_-]{1,64}$'),
    window_ms    bigint      not null check (window_ms > 0),
    epoch        timestamptz not null,
    starts_at    timestamptz not null,
    counts_until timestamptz not null,
    attempts     bigint      not null check (attempts >= 0),
    answers      bigint      not null check (answers >= 0),
    primary key (campaign_id, window_ms, epoch, starts_at),
    constraint counts_for_a_while check (starts_at < counts_until)
);

create index answer_rate_buckets_over on answer_rate_buckets (counts_until);

-- Since when events of the campaign count: its last start.
alter table campaigns add column counted_from timestamptz;

-- The guard places one hold, whichever replica sees it first.
create unique index one_hold_for_a_low_answer_rate on campaign_holds (campaign_id)
    where triggered_by = 'SLIDING_WINDOW_THROTTLE' and lifted_at is null;
