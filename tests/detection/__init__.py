"""What becomes of simulated histories of known truth: Lockstep's way beside what others do with the same series."""
