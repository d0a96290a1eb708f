"""Calibration: the camera's lens from pictures of a board, its mount from a flight with good GPS."""
