"""Independent errors with random effects whose covariance may be indefinite."""
