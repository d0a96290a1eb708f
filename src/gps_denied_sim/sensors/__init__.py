"""What the autopilot's sensors measure of the motion."""
