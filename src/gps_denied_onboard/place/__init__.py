"""Which part of the map a frame could show."""
