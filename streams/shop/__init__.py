"""A simulated shop: its products, its shoppers, and the events they cause. Pure: one seed, the same events."""
