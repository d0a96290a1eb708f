"""Giving an ArduPilot the flight's signing key, on the ground, over a cable."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from gps_denied_onboard.autopilot.mavlink.connection import MavlinkConnection
from gps_denied_onboard.autopilot.mavlink.messages import MavlinkEncoder
from gps_denied_onboard.autopilot.mavlink.signing import Signing, first_timestamp, open_signing, read_key
from gps_denied_onboard.config import Config
from gps_denied_onboard.errors import UserError

PATIENCE_NS = 10_000_000_000
AGAIN_NS = 1_000_000_000
POLL_S = 0.005
AUTOPILOT_COMPONENT = 1
_ARMED = 128
_SIGNED = 1


def set_up_signing(config: Config) -> None:
    """Send SETUP_SIGNING and wait until the autopilot signs with our key; then keep its timestamp for the flight.

    UserError, and nothing kept, when the link is no cable, the autopilot is armed, silent, or does not confirm.
    """
    ap = config.autopilot
    signing = open_signing(ap.signing_key, ap.signing_state)
    if signing is None:
        raise UserError("no key: set autopilot.signing_key in the configuration to a file of 32 random bytes.")
    if ap.address.partition(":")[0] in ("udp", "udpin", "udpout", "tcp", ""):
        raise UserError(f"a key is never sent over a network ('{ap.address}'): connect by USB or serial for this.")
    port = MavlinkConnection(ap.address)
    key = read_key(Path(ap.signing_key))
    try:
        _Setup(port, MavlinkEncoder(system_id=ap.system_id, component_id=ap.component_id), signing, key).run()
        signing.save()
    finally:
        port.close()
        signing.forget()
        key[:] = bytes(len(key))


class _Setup:
    """One exchange, in the order: heard and disarmed, told, confirmed."""

    def __init__(self, port: MavlinkConnection, encoder: MavlinkEncoder, signing: Signing, key: bytearray) -> None:
        self._port, self._encoder, self._signing, self._key = port, encoder, signing, key
        self._begin = max(signing.timestamp, first_timestamp(time.time_ns()))
        self._armed: bool | None = None

    def run(self) -> None:
        end_ns = time.monotonic_ns() + PATIENCE_NS
        again_ns = 0
        while (now_ns := time.monotonic_ns()) < end_ns:
            for message in self._port.receive(now_ns):
                if self._is_confirmed(message):
                    return
            if self._armed:
                raise UserError("the autopilot is armed: disarm it, then set signing up.")
            if self._armed is not None and now_ns >= again_ns:
                again_ns = now_ns + AGAIN_NS
                target = (self._encoder.system_id, AUTOPILOT_COMPONENT)
                self._port.send(now_ns, self._encoder.setup_signing(*target, self._key, self._begin))
            time.sleep(POLL_S)
        if self._port.link.last_error and not self._port.link.alive:
            raise UserError(f"link {self._port.link.address} cannot be opened: {self._port.link.last_error}.")
        if self._armed is None:
            raise UserError(f"no autopilot with system id {self._encoder.system_id} is heard; check address and baud.")
        raise UserError("the autopilot did not confirm: it takes a key only over USB or serial, and disarmed.")

    def _is_confirmed(self, message: Any) -> bool:
        if (message.get_srcSystem(), message.get_srcComponent()) != (self._encoder.system_id, AUTOPILOT_COMPONENT):
            return False
        if message.get_type() == "HEARTBEAT":
            self._armed = bool(message.base_mode & _ARMED)
        frame = message.get_msgbuf()
        signed = frame[0] == 0xFD and bool(frame[2] & _SIGNED)
        return signed and self._signing.accepts(frame, self._encoder.system_id, AUTOPILOT_COMPONENT)
