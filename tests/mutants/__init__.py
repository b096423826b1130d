"""Mutants: small errors in the modules that decide, each of which the tests must notice."""
