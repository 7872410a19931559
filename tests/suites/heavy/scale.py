"""How dear a set-up is. Tests write a smaller number here, into a copy."""

SECONDS = 2.0
