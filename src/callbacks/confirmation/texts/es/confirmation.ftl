# See en. Worded without á, í, ó and ú, which are not in the GSM-7 alphabet.
confirmation = Le confirmamos que le devolveremos la llamada el { $time }. Referencia: { $reference }
