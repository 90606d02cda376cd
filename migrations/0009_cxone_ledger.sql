-- The quota ledger survives a crash of Postgres: it is logged, though no request waits for the disk. Each change is one
-- statement, which names the version that it was made from, so that no lock outlives a statement.
alter table cxone_ledger set logged;
alter table cxone_ledger add column version bigint not null default 0;

-- Where a crash has emptied the table before this.
insert into cxone_ledger (ledger) values ('{}') on conflict do nothing;
