"""Training data: read in whatever format, checked, and written in its normal form."""
