"""Where benchmarks come from: one module for each kind of suite."""
