"""Claims over time."""
