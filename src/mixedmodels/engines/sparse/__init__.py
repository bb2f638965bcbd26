"""Independent errors: one sparse Cholesky factorisation of all random columns."""
