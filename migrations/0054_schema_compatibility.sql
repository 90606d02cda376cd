-- Which older programs work with this schema. Their replicas run beside newer ones during an upgrade, and replace them when it is
-- rolled back. The migration that makes the schema unusable for older programs raises the number.
create table schema_compatibility (
    only_one       boolean primary key default true check (only_one),
    oldest_program bigint  not null
);
comment on column schema_compatibility.oldest_program is
    'The last migration of the oldest program that works with this schema. That program starts on it.';
insert into schema_compatibility (oldest_program) values (54);
