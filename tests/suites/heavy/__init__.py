"""A stand-in for suites with dear set-ups: tables that take seconds to make, caches, files, sorting in place."""
