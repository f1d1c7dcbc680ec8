"""`python -m streams` is `freshet`."""

from streams.cli import main

main()
