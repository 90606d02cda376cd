alter table callbacks
    validate constraint outcome_status_known,
    validate constraint call_has_outcome;
