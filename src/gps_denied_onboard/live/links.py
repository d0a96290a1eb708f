"""The links of a flight: one autopilot by strategy, and the ground stations beside or behind it."""

from __future__ import annotations

from typing import Protocol

from gps_denied_onboard.autopilot.gcs import GroundStation
from gps_denied_onboard.autopilot.mavlink.connection import MavlinkConnection
from gps_denied_onboard.autopilot.mavlink.messages import MavlinkEncoder
from gps_denied_onboard.autopilot.mavlink.signing import open_signing
from gps_denied_onboard.autopilot.mavlink.telemetry import Received
from gps_denied_onboard.autopilot.transport import ReopeningLink
from gps_denied_onboard.config import Config
from gps_denied_onboard.errors import UserError
from gps_denied_onboard.messages import Alert, NavState
from gps_denied_onboard.recorder.meta import unix_ns_from_iso
from gps_denied_onboard.runtime_root.strategies import Composition, resolve


class Autopilot(Protocol):
    """What flies the aircraft, at the other end of a link that is polled and never waited for."""

    def poll(self, now_ns: int) -> list[Received]: ...
    def send_position(self, now_ns: int, state: NavState) -> list[Alert]: ...
    def armed(self, now_ns: int) -> bool | None: ...
    def waits_for(self, now_ns: int) -> str: ...
    def counts(self) -> dict[str, int]: ...
    def close(self) -> None: ...


class Links:
    """All that is heard and said while flying. `transport` is the autopilot's, for its state."""

    def __init__(self, autopilot: Autopilot, transport: ReopeningLink, grounds: tuple[GroundStation, ...]) -> None:
        self._autopilot = autopilot
        self.transport = transport
        self._grounds = grounds

    def poll(self, now_ns: int) -> list[Received]:
        """Everything that has arrived from the autopilot and the ground; sends what is due."""
        out = self._autopilot.poll(now_ns)
        for ground in self._grounds:
            out += ground.poll(now_ns)
        return out

    def send_state(self, now_ns: int, state: NavState) -> list[Alert]:
        """A position to the autopilot, and to the ground when it is due there; alerts where it was withheld."""
        for ground in self._grounds:
            ground.send_state(now_ns, state)
        return self._autopilot.send_position(now_ns, state)

    def armed(self, now_ns: int) -> bool | None:
        """Whether the autopilot's motors are armed; None where it has not said so lately."""
        return self._autopilot.armed(now_ns)

    def state(self, now_ns: int) -> str:
        """The autopilot's link in words: down, up, or open and what is waited for on it."""
        if not self.transport.alive:
            return "down"
        return self._autopilot.waits_for(now_ns) or "up"

    def send_alert(self, now_ns: int, alert: Alert) -> None:
        """An alert to every ground station."""
        for ground in self._grounds:
            ground.send_alert(now_ns, alert)

    def counts(self) -> dict[str, int]:
        """Counters for the log."""
        out = self._autopilot.counts()
        for ground in self._grounds:
            out.update(ground.counts())
        return out

    def close(self) -> None:
        """Close everything; keys are forgotten."""
        for ground in self._grounds:
            ground.close()
        self._autopilot.close()


def build_links(config: Config, composition: Composition) -> Links:
    """The links of a configuration. UserError where it cannot be; nothing is opened before the first poll."""
    strategy = resolve("autopilot", config.strategies.autopilot, composition)
    unix_ns = unix_ns_from_iso(config.mission.utc_at_zero) if config.mission.utc_at_zero else None
    if config.strategies.autopilot == "inav":
        return _inav(strategy, config, unix_ns)
    return _ardupilot(strategy, config, unix_ns)


def _ardupilot(strategy: type, config: Config, unix_ns: int | None) -> Links:
    ap = config.autopilot
    signing = open_signing(ap.signing_key, ap.signing_state)
    encoder = MavlinkEncoder(
        gps_id=ap.gps_id,
        system_id=ap.system_id,
        component_id=ap.component_id,
        unix_ns_at_zero=unix_ns,
        signing=signing,
    )
    port = MavlinkConnection(ap.address, signing)
    link: Autopilot = strategy(
        port, encoder, gps_id=ap.gps_id, real_gps_id=ap.real_gps_id, gps_delay_ms=ap.gps_delay_ms
    )
    return Links(link, port.link, (GroundStation(port, encoder, own=False), *_own_ground(config, unix_ns)))


def _inav(strategy: type, config: Config, unix_ns: int | None) -> Links:
    ap = config.autopilot
    if ap.signing_key:
        raise UserError(
            "an iNav link cannot be signed (MSP has no signatures): remove autopilot.signing_key, or use "
            "gcs.signing_key for the ground station's link."
        )
    transport = ReopeningLink(ap.address)
    link: Autopilot = strategy(transport, config.mission.ground_altitude_amsl_m, unix_ns)
    return Links(link, transport, _own_ground(config, unix_ns))


def _own_ground(config: Config, unix_ns: int | None) -> tuple[GroundStation, ...]:
    """A ground station with an address of its own; none without."""
    if not config.gcs.address:
        return ()
    ap = config.autopilot
    signing = open_signing(config.gcs.signing_key, config.gcs.signing_state)
    encoder = MavlinkEncoder(
        system_id=ap.system_id, component_id=ap.component_id, unix_ns_at_zero=unix_ns, signing=signing
    )
    return (GroundStation(MavlinkConnection(config.gcs.address, signing), encoder, own=True),)
