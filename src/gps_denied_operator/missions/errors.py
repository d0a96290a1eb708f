"""Why a flight could not be resolved; each reason has an exit code of its own, which never changes."""

from __future__ import annotations

from gps_denied_onboard.errors import UserError


class FlightResolutionError(UserError):
    """A flight could not be turned into an area of the map."""


class FlightNotFoundError(FlightResolutionError):
    """There is no such file, or the flights API does not know the flight."""

    exit_code = 90


class FlightAccessError(FlightResolutionError):
    """The file may not be read, or the flights API refuses the key."""

    exit_code = 91


class FlightNetworkError(FlightResolutionError):
    """The flights API does not answer, or its certificate is not accepted."""

    exit_code = 92


class FlightMalformedError(FlightResolutionError):
    """What was given is no plan: another format, another CRS, truncated, hostile."""

    exit_code = 93


class FlightEmptyRouteError(FlightResolutionError):
    """A plan without a route: no position, one position, or all at one place."""

    exit_code = 94


class FlightOutsideLimitsError(FlightResolutionError):
    """A route that cannot be flown with one cache: too long, at a pole, across the antimeridian."""

    exit_code = 95
