-- The tables of the answer rate use the same names as the rest of the schema: `counted_from` as in campaigns, and batches.

alter table answer_rate_buckets rename column epoch to counted_from;
alter table answer_rate_buckets rename constraint counts_for_a_while to starts_before_it_expires;
alter index answer_rate_buckets_over rename to answer_rate_buckets_by_expiry;

alter table answer_rate_shares rename to answer_rate_batches;
alter index answer_rate_shares_pkey rename to answer_rate_batches_pkey;
alter table answer_rate_batches rename column replica to replica_id;
alter table answer_rate_batches rename column batch to last_batch;
alter table answer_rate_batches rename column shared_at to added_at;

comment on table answer_rate_buckets is
    'Attempts and answers of dialers, in buckets of a sixtieth of the campaign''s window. Only rows with the window length and '
    'the start (`counted_from`) that the campaign has now count.';
comment on table answer_rate_batches is
    'The last batch of counts that each replica has added to answer_rate_buckets. A batch that is sent again is not added again.';
