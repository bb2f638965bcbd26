"""Formula text → spec: tokens, spelling, the algebra of terms, structures as written."""
