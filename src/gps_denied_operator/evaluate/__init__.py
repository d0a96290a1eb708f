"""Score the navigation against truth: simulated flights, and photographs that others took."""
