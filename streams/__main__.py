"""`python -m streams` is `freshet`."""

from streams.cli import main

if __name__ == "__main__":
    main()
