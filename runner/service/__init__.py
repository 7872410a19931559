"""`lockstep serve`: what many machines measured, in one place. Read `server` first, then `app`."""
