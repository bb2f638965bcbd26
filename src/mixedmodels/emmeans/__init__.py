"""Estimated marginal means: a reference grid, averages over it, contrasts among them."""
