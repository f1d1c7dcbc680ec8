"""What is known of each customer, counted event by event beside the history, and of all of them together."""
