-- no-transaction
-- For deliveries that are sent again: those of an endpoint that have died since a moment.
create index concurrently webhook_deliveries_dead on webhook_deliveries (endpoint_id, updated_at) where status = 'dead';
