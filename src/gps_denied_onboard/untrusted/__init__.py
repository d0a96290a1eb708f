"""What comes from outside: bytes, JSON and text that a stranger may have made; nothing here believes any of it."""

from __future__ import annotations

from gps_denied_onboard.errors import UserError


class UntrustedError(UserError):
    """Something from outside is larger, deeper or of another kind than it may be; nothing of it was used."""
