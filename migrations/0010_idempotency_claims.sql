-- Which run of a request holds the key. Each write of a run names it, so that a run that was thought dead writes nothing.
alter table idempotency_keys add column claim_id uuid;
