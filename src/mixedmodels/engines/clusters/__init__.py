"""Structured errors by independent clusters, small and dense."""
