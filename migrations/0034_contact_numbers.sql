-- An API of CXone that gives contacts numbers of its own. contact_id still says that CXone has the contact.
alter table callbacks
    add column contact_number bigint,
    add constraint contact_number_has_contact check (contact_number is null or contact_id is not null) not valid;

comment on column callbacks.contact_number is 'The number that CXone gave the contact, where it gives numbers.';
