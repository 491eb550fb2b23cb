"""A server of vectors and rankings. Runs in the engine's interpreter; imports no modelplug."""
