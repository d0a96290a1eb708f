"""Frame to map to fix: place search, matching, pose, acceptance, tile candidates; pure."""
