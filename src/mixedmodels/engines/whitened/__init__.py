"""Structured errors that random effects cross: rows whitened by residual cluster, then sparse equations."""
