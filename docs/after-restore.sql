-- Run this as the owner of the tables on a database that was restored, before the service uses it:
--
--   psql "$DATABASE_URL" --set=ON_ERROR_STOP=1 --file=docs/after-restore.sql
--
-- The service has worked on after the backup: CXone may have contacts, changes and text messages that the backup does not know of.
-- This marks all of them as possible, so that the service asks CXone where it can, and sends nothing twice. It may be run twice.
-- docs/backup.md has the rest.

begin;

-- CXone may have the contact, at any time: the two times are the same. The API `nice` is asked for it first; `v2` answers a second
-- request that it has it. If it has none, `v2` creates it at this time: any time of the window, so that not all start together.
with placed as (
    select id, greatest(requested_start, date_trunc('second', requested_start + random() * (requested_end - requested_start))) as at
    from callbacks where status = 'accepted' and dispatch_time is null
)
update callbacks set dispatch_time = placed.at, earlier_dispatch_time = placed.at
from placed where callbacks.id = placed.id;

-- The text message may have been sent. It is looked for where CXone can be asked, and is otherwise `unknown`; none is sent.
update callbacks set confirmation_started_at = now()
where status = 'scheduled' and confirmation = 'pending' and confirmation_started_at is null;

-- The change of a contact may have been sent.
update callbacks set change_sent_at = now() where change is not null and change_sent_at is null;

-- Who has signed out of the console since stays signed out, and a link that was used stays used.
delete from console_sessions;
delete from console_links;

-- Everything that is open is due now, also what a replica was working on.
update callbacks set due_at = now() where due_at is not null;
update campaigns set due_at = now();

commit;
