"""ArduPilot over MAVLink 2."""
