"""The catalogue: what items are, by their own description, and which are alike by it."""
