# See en.
confirmation = Votre rappel est confirmé pour le { $time }. Référence : { $reference }
