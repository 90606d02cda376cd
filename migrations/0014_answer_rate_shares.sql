-- The last batch of counts that each replica has added to answer_rate_buckets. A batch that is sent again, because its
-- answer was lost, finds its number here and adds nothing.
create table answer_rate_shares (
    -- One run of one replica.
    replica   uuid        primary key,
    batch     bigint      not null check (batch > 0),
    shared_at timestamptz not null
);
