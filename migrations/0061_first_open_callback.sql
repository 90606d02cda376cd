-- no-transaction
-- Replaces the exclusion constraint for all numbers with one open callback.
create unique index concurrently first_open_callback on callbacks ((substr(phone_number, 2)::bigint), campaign_id)
    where status in ('accepted', 'scheduled') and among_open <> 'other';
