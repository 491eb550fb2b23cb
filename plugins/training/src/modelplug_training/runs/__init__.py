"""A training as a process: its folder, its events, and what they look like."""
