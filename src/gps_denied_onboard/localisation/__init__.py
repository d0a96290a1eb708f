"""From a frame and the map to a fix, and how sure that fix is."""
