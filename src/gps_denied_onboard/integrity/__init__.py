"""Health of the autopilot's GPS and of our state, recovery gate, failsafe ladder, source label; pure."""
