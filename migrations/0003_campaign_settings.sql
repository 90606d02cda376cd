-- What operations have set for a campaign; a campaign without a row has the defaults. One document, read and written
-- whole; `version` is its ETag.
create table campaign_settings (
    campaign_id text        primary key check (campaign_id ~ '^[A-Za-z0-9_-]{1,64}$'),
    settings    jsonb       not null check (jsonb_typeof(settings) = 'object'),
    version     bigint      not null check (version > 0),
    updated_at  timestamptz not null
);
