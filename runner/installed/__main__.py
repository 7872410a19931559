"""`python -m lockstep_ab`: the command line."""

from lockstep_ab import main  # type: ignore[import-not-found, unused-ignore]

main()
