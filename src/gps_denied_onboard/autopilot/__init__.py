"""The autopilot's edge: positions out as a GPS, telemetry in. Only here are MAVLink's units and frames spoken."""
