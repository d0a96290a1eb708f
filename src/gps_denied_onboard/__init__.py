"""Everything that flies: from frames and autopilot messages to honest positions."""
