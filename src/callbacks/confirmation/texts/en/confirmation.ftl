# Sent by text message when a callback is confirmed: one segment, 160 characters of GSM-7.
# Other characters are written without their marks; a text that is longer is sent in English.
# $time: the date and the time with its zone, such as "Nov 20, 2026, 10:30 AM EST"
# $reference: the contact's id, a UUID
confirmation = Your callback is confirmed for { $time }. Reference: { $reference }
