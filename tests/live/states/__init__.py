"""An asv suite of what is not simply measured: skips, odd values, values that differ, and large ones."""
