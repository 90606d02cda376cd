# See en.
confirmation = Ihr Rückruf ist bestätigt für den { $time }. Referenz: { $reference }
