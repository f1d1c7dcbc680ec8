"""The demo: a shop's events, a worker, and what comes of it, to look at."""
