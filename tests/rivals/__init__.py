"""Lockstep against the tools that people use now, on the same pairs at equal machine time: ``make rivals``."""
