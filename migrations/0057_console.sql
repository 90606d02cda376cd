-- Who is signed in to the console. The key's own revocation and end are checked at each request.
create table console_sessions (
    token_hash   bytea       primary key check (octet_length(token_hash) = 32),
    key_id       uuid        references api_keys on delete cascade,
    subject_id   uuid,
    subject_name text        check (char_length(subject_name) between 1 and 200),
    scopes       text[],
    campaigns    text[],
    created_at   timestamptz not null,
    expires_at   timestamptz not null check (expires_at > created_at),
    constraint a_session_is_of_a_key_or_of_a_subject check ((key_id is null) <> (subject_id is null)),
    constraint only_a_subject_has_a_name_and_scopes check (
        (subject_id is null) = (subject_name is null) and (subject_id is null) = (scopes is null)
        and (campaigns is null or subject_id is not null)
    )
);
comment on table console_sessions is 'Deleted at sign-out, and some time after their end.';
comment on column console_sessions.token_hash is 'SHA-256 of 256 random bits, which only the browser has.';
comment on column console_sessions.subject_id is 'A person of the identity provider.';
comment on column console_sessions.scopes is 'What the token allowed when the person signed in.';
comment on column console_sessions.campaigns is 'The campaigns that the token was restricted to; null for all.';
create index console_sessions_by_key on console_sessions (key_id, created_at) where key_id is not null;
create index console_sessions_by_subject on console_sessions (subject_id, created_at) where subject_id is not null;
create index console_sessions_by_end on console_sessions (expires_at);

-- Replicas keep copies of sessions.
create trigger console_sessions_notify after delete on console_sessions
    for each statement execute function notify_change('ringback_console_sessions');

create table console_links (
    token_hash bytea       primary key check (octet_length(token_hash) = 32),
    key_id     uuid        not null references api_keys on delete cascade,
    expires_at timestamptz not null
);
comment on table console_links is 'Links that sign in once: the row is deleted when its link is used.';
create index console_links_by_end on console_links (expires_at);
