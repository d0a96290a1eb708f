"""The operator workstation: map cache, evaluation and reports. Never part of the companion image."""
