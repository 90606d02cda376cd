-- Every filter of the audit log has an index in the order of a page, newest first. Accepting a callback inserts an entry into
-- each of them, except where a value is so common that a scan of all entries finds it at once.
drop index if exists audit_entries_by_campaign;
drop index if exists audit_entries_by_callback;
drop index if exists audit_entries_by_time;

-- All entries. Its condition always holds. Postgres uses the index only for a query that says so itself, which a query with a
-- filter below does not: Postgres would expect to find its entries soon, and read the whole index where they are old.
create index audit_entries_by_time on audit_entries ("timestamp", seq) where seq > 0;
create index audit_entries_by_campaign on audit_entries (campaign_id, "timestamp", seq) where campaign_id is not null;
-- A callback has few entries: they are sorted when they are read.
create index audit_entries_by_callback on audit_entries (callback_id) where callback_id is not null;
create index audit_entries_by_action on audit_entries (action, "timestamp", seq) where action <> 'callback.accepted';
create index audit_entries_by_outcome on audit_entries (outcome, "timestamp", seq) where outcome <> 'succeeded';
create index audit_entries_by_actor_id on audit_entries (actor_id, "timestamp", seq);
create index audit_entries_by_actor_name on audit_entries (actor_name, "timestamp", seq);
