"""The benchmarks of pyperformance, unmodified, between builds of which something is known: ``make pyperformance``."""
