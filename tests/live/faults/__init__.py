"""An asv suite of planted faults. Each module has one kind; `healthy` has none, and `harmless` only looks faulty."""
