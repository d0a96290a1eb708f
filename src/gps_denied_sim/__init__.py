"""The simulated world: ground, flights and sensors, for demo, development and tests."""
