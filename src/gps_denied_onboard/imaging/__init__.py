"""Orthorectification, orientation fields and correlation of pictures; pure."""
