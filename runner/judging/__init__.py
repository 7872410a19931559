"""From blocks to claims: reports, guards, several runs, counts beside times, runs of known truth."""
