"""A tile provider on loopback: the provider's API with its refusals, and faults on request."""
