"""Lockstep: compares two interpreters in lockstep and says what changed, and how sure that is.

The floors of this package, and what each may import, are in docs/architecture.md.
"""
