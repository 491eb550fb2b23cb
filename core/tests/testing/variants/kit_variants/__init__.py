"""Providers that are broken on purpose, in one way each, and `good`, which is not."""
