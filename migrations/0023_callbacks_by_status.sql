-- A list of callbacks with a rare status does not read all callbacks. `accepted` is left out: callbacks_due finds those, and a
-- new callback needs no further index entry.
create index callbacks_by_status on callbacks (status, created_at desc, id desc) where status <> 'accepted';
