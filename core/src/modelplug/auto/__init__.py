"""`AutoModel`: what was asked for, which world serves it, and why."""
