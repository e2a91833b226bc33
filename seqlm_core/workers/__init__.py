"""Several processes that train together: their parts, their sums, how they start, and how they notice deaths."""
