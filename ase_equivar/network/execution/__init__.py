"""How networks run: backends, chunks, threads, tables; no physics is decided here."""
