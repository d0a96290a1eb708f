"""Correspondences between a frame and the map."""
