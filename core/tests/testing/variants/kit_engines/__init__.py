"""Engines that are broken on purpose, in one way each, `good`, which is not, and what runs them."""
