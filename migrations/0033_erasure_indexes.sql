-- What is kept about a callback is found by its id.

-- A request for a new callback has the callback's id as its resource. A cancellation has it too from now on.
update idempotency_keys set resource_id = (convert_from(answer_body, 'UTF8')::jsonb ->> 'id')::uuid
where answer_status = 200 and position('"phoneNumber":"'::bytea in answer_body) > 0;

create index idempotency_keys_by_resource on idempotency_keys (resource_id);

create index webhook_events_by_callback on webhook_events ((body::jsonb ->> 'callbackId')) where type like 'callback.%';
