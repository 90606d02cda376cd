-- Who may call Ringback. A key is 256 random bits, so one round of SHA-256 keeps it as well as a slow hash would.
create table api_keys (
    id          uuid        primary key,
    name        text        not null check (char_length(name) between 1 and 100),
    secret_hash bytea       not null unique check (octet_length(secret_hash) = 32),
    scopes      text[]      not null check (cardinality(scopes) > 0),
    created_at  timestamptz not null,
    expires_at  timestamptz check (expires_at > created_at),
    revoked_at  timestamptz
);

-- What each Idempotency-Key was first used for, and what it was answered. A row without an answer is a request still
-- running, until its lease is over; then the next one with the key takes it on, under the same `resource_id`, so that
-- what a crashed request had made is found again and not made twice.
create table idempotency_keys (
    api_key_id      uuid        not null references api_keys,
    key             text        not null check (char_length(key) between 1 and 255),
    request_hash    bytea       not null check (octet_length(request_hash) = 32),
    resource_id     uuid        not null,
    leased_until    timestamptz not null,
    answer_status   smallint    check (answer_status between 200 and 499),
    answer_headers  jsonb,
    answer_body     bytea,
    created_at      timestamptz not null,
    primary key (api_key_id, key),
    check ((answer_status is null) = (answer_headers is null) and (answer_status is null) = (answer_body is null))
);

create index idempotency_keys_by_age on idempotency_keys (created_at);
