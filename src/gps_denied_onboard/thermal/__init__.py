"""Thermal state of the companion computer."""
