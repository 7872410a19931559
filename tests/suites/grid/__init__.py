"""A stand-in for suites with thousands of combinations of parameters, many of which do not apply: 5 000 in all."""
