-- The checkpoint of the audit log that was last published to webhook endpoints. Replicas take turns through this row.
create table webhook_last_checkpoint (
    id           boolean     primary key default true check (id),
    size         bigint      not null default 0 check (size >= 0),
    published_at timestamptz
);
insert into webhook_last_checkpoint default values;

comment on column webhook_events.campaign_id is
    'Events with the same are delivered in order. Events without a campaign have: the endpoint (webhook.test), or their type (audit.checkpoint).';
