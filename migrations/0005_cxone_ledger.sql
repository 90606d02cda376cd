-- What all replicas together have spent of CXone's quota in the last minute, and until when CXone has asked them to
-- hold off. One row, locked for the moment of each decision. Unlogged: it is worth nothing after a minute, and no
-- request to CXone should wait for a disk. Where a crash of Postgres has emptied it, a replica that finds no row
-- starts from a minute in which everything was spent.
create unlogged table cxone_ledger (
    id     boolean primary key default true check (id),
    ledger jsonb   not null
);

insert into cxone_ledger (ledger) values ('{}');
