"""Chaos: a whole system under faults, and afterwards the proof that every event counted exactly once."""
