-- A request may be sent with a token of an identity provider. Its idempotency keys belong to the subject of the token, which has no
-- row in api_keys.
alter table idempotency_keys drop constraint idempotency_keys_api_key_id_fkey;
comment on column idempotency_keys.api_key_id is 'The API key, or the subject of a token.';

-- The entries that exist have one of the earlier types: not valid, so that they are not read again under a lock.
alter table audit_entries drop constraint audit_entries_actor_type_check;
alter table audit_entries add constraint audit_entries_actor_type_check
    check (actor_type in ('api_key', 'oidc_subject', 'operator', 'system', 'external', 'anonymous')) not valid;
