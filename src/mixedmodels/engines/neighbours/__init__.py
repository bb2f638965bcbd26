"""Errors of large clusters at coordinates, each given its nearest neighbours."""
