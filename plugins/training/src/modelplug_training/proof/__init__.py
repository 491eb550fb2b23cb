"""Proofs: what is served is what was trained, and it is better than the base."""
