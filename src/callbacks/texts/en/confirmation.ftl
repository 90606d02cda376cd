# Sent by text message when a callback is confirmed; every part of 160 characters costs.
# $time: the date and the time with its zone, such as "Nov 20, 2026, 10:30 AM EST"
# $reference: the contact's id, a UUID
confirmation = Your callback is confirmed for { $time }. Reference: { $reference }
