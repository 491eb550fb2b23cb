"""Engines: one process each, supervised, shared, kept, and never left behind."""
