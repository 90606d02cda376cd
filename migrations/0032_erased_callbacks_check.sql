alter table callbacks
    validate constraint phone_number_unless_erased,
    validate constraint phone_number_hash_only_if_erased,
    validate constraint erased_has_ended,
    validate constraint erased_has_no_texts;
