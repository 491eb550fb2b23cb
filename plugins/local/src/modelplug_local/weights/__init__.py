"""Weights: where they are on the disk, what they are, and how they come from a hub."""

from modelplug_local.weights.finder import find, kind_of, look, plan, pull

__all__ = ["find", "kind_of", "look", "plan", "pull"]
