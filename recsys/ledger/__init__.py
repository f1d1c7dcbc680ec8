"""The shop's own figures: what its customers together did and paid, by time, place and item, counted with their accounts."""
