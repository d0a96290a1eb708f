"""Frame to frame motion: what the ground's movement through the picture says about the camera's own."""
