"""Independent errors: cross-products once, a chain of factors eliminated, a dense tail."""
