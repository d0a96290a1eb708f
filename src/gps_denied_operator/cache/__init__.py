"""From a planned flight to a verified cache on the companion."""
