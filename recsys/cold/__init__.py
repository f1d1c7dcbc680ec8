"""Cold starts: what is shown to visitors of whom little is known, and what is learned of new items by showing them."""
