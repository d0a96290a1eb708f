"""Releases of the companion image: verified by signature, written to a disk."""
