"""Route and motion of the aircraft."""
