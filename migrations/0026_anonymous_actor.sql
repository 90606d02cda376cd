-- The audit log has refusals of requests without a valid API key.
alter table audit_entries drop constraint audit_entries_actor_type_check;
alter table audit_entries add constraint audit_entries_actor_type_check
    check (actor_type in ('api_key', 'operator', 'system', 'external', 'anonymous'));
