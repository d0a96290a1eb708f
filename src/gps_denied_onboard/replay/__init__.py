"""A recording through the same pipeline as in flight."""
