-- Constraint names that state their rule.
alter table callbacks rename constraint window_is_one_to_four_hours to window_of_one_to_four_hours;
alter table callbacks rename constraint dispatch_lies_in_the_window to dispatch_time_in_window;
alter table callbacks rename constraint scheduled_has_a_contact to scheduled_has_contact;
alter table callbacks rename constraint no_sms_before_the_contact to no_confirmation_before_contact;
alter table callbacks rename constraint sent_has_a_session to sent_has_session_id;
alter table callbacks rename constraint failure_has_both_parts to failure_has_code_and_detail;
alter table callbacks rename constraint an_end_says_why to failed_or_expired_has_failure;
alter table callbacks rename constraint due_while_work_is_left to due_unless_settled;
alter table callbacks rename constraint skipped_says_why to skipped_has_reason;

-- A contact has the id of its callback, which is the primary key: no second unique index is needed.
alter table callbacks drop constraint callbacks_contact_id_key;
alter table callbacks add constraint contact_has_id_of_callback check (contact_id = id);

alter index callbacks_work rename to callbacks_due;
alter index callbacks_placed rename to callbacks_by_dispatch_time;

comment on column callbacks.attempts is 'Claims so far. Each write names the claim it belongs to.';
comment on column callbacks.due_at is 'When the next attempt is due; while one runs, when its lease ends. Null if nothing is left to do.';
comment on column callbacks.dispatch_time is 'The start of the contact. While accepted, CXone may have the contact if it is set.';
comment on column callbacks.earlier_dispatch_time is 'An earlier start with which CXone may have the contact.';
comment on column callbacks.confirmation_started_at is 'Committed before the SMS is sent.';
