# See en. Worded without á, ã, ç, ê, í and ó, which are not in the GSM-7 alphabet.
confirmation = A sua chamada de retorno foi confirmada para { $time }. Ref.: { $reference }
