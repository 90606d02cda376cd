alter table callbacks
    validate constraint campaign_id_of_1_to_64_characters,
    validate constraint phone_number_is_e164;
