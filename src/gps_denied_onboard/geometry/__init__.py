"""Earth, tangent plane, camera model, rotations and terrain; pure."""
