-- No longer read: a skill that Ringback has stopped is started again whether or not its start was sent before. Older replicas
-- still write it.
alter table cxone_stopped_skills alter column is_starting set default false;
comment on column cxone_stopped_skills.is_starting is 'Not used.';
