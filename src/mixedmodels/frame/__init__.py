"""Anything tabular → typed, complete columns."""
