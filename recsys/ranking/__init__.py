"""Ranking: histories and what is known of items → the best items of each user, with the terms of each score."""
