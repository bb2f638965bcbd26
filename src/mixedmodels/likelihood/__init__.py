"""Likelihoods of rows given their linear predictors: families, links, zero inflation, truncation."""
