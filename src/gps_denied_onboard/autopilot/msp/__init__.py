"""iNav over MSP v2."""
