-- Two roles for Ringback. The owner migrates the schema; the service uses it, and cannot change what is in the audit log.
--
--   DATABASE_URL=postgres://ringback_owner@…  ringback migrate
--   psql postgres://ringback_owner@… --file docs/database-roles.sql        after each migration
--   grant ringback_service to …;                                          once, to the role that the service logs in as
--   DATABASE_URL=postgres://…  ringback serve                              checks the schema, and does not migrate it
--
-- Run this as the owner of the tables. To create the role, it needs `createrole`; otherwise create it first.

begin;

do $$
begin
    if not exists (select from pg_roles where rolname = 'ringback_service') then
        create role ringback_service nologin;
    end if;
exception
    -- At the same time by somebody else.
    when duplicate_object or unique_violation then null;
end $$;

grant usage on schema public to ringback_service;
revoke create on schema public from public;
grant select, insert, update, delete on all tables in schema public to ringback_service;
grant usage, select on all sequences in schema public to ringback_service;
grant execute on all functions in schema public to ringback_service;

-- What is recorded stays: entries and checkpoints are added, the tree over them is extended.
revoke update, delete on audit_entries, audit_checkpoints, audit_cosignatures from ringback_service;
revoke delete on audit_log_head, audit_log_tiles, audit_log_leaves from ringback_service;
revoke insert on audit_log_head from ringback_service;
revoke insert, update, delete on _sqlx_migrations, schema_compatibility from ringback_service;

-- Entries are read and written through audit_entries, not in its partitions; only the owner sets for how long they are kept.
revoke insert, update, delete on audit_retention from ringback_service;
do $$
declare
    partition regclass;
begin
    for partition in select inhrelid::regclass from pg_inherits where inhparent = 'audit_entries'::regclass loop
        execute format('revoke all on %s from ringback_service', partition);
    end loop;
end $$;

commit;
