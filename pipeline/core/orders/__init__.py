"""Which record is the order, and which only repeat it."""
