"""Composition root: configuration to objects to loop. The only place that builds things."""
