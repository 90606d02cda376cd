-- Replaces the key $1 by the new key $2 with the hash $3, at the time $4. The old one ends at $5, or before. A key that was
-- replaced before violates the constraint on `replaces`.
with ended as (
    update api_keys as k
    set expires_at = least(k.expires_at, greatest($5::timestamptz, k.created_at + interval '1 millisecond'))
    from api_keys as before
    where before.id = k.id and k.id = $1 and k.revoked_at is null and (k.expires_at is null or k.expires_at > $4)
    returning before.*
)
insert into api_keys (id, name, secret_hash, scopes, campaigns, rate_requests, rate_seconds, created_at, expires_at, replaces)
select $2, name, $3, scopes, campaigns, rate_requests, rate_seconds, $4, expires_at, id from ended
returning audit_record($6) as "entry"
