"""MAVLink 2 signing of one link: key, timestamps, and what incoming frames have to show.

Signature and timestamps: https://mavlink.io/en/guide/message_signing.html. A timestamp counts 10 us; each stream
(link id, system, component) must run forward. The autopilot follows the newest timestamp that it hears, so after a
restart one good frame is listened for, and nothing is sent before it.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import struct
from pathlib import Path
from typing import Any

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.untrusted import UntrustedError
from gps_denied_onboard.untrusted.bounded import open_file, read_file
from gps_denied_onboard.untrusted.json import read_json

KEY_BYTES = 32
LINK_ID = 1
TICK_NS = 10_000
MAX_TIMESTAMP = 2**48 - 1
EPOCH_UNIX_S = 1_420_070_400
"""Timestamps count from 2015-01-01."""
NEW_STREAM_TICKS = 6_000_000
"""A stream that was never heard may be a minute behind us."""
SAVE_NS = 5_000_000_000
MAX_STREAMS = 64
STATE_BYTES_MAX = 64 * 1024

Stream = tuple[int, int, int]


class Signing:
    """Signs what leaves and judges what comes. `refused` counts frames without a good signature.

    `key` is zeroed by `close`. `state_file` keeps the newest timestamps over restarts.
    """

    def __init__(self, key: bytearray, state_file: Path) -> None:
        self._key = key
        self._state_file = state_file
        self._timestamp, self._streams = _load(state_file)
        self._offset: int | None = None
        self._save_at_ns = 0
        self.heard = False
        self.refused = 0

    @property
    def timestamp(self) -> int:
        """The newest timestamp that was used or heard."""
        return self._timestamp

    def tick(self, now_ns: int) -> None:
        """Let the timestamps run with the clock; keeps them on disk, every SAVE_NS."""
        if self._offset is None:
            self._offset = self._timestamp - now_ns // TICK_NS
        self._timestamp = max(self._timestamp, min(now_ns // TICK_NS + self._offset, MAX_TIMESTAMP - 1))
        if self.heard and now_ns >= self._save_at_ns:
            self._save_at_ns = now_ns + SAVE_NS
            self.save()

    def arm(self, mav: Any) -> None:
        """Make a pymavlink packer sign its next packet, with a timestamp of its own."""
        self._timestamp = min(self._timestamp + 1, MAX_TIMESTAMP)
        mav.signing.secret_key = self._key
        mav.signing.sign_outgoing = True
        mav.signing.link_id = LINK_ID
        mav.signing.timestamp = self._timestamp

    def guard(self, parser: Any) -> None:
        """Make a pymavlink parser refuse whatever `accepts` does not accept, unsigned frames among it.

        Its own check takes a forged frame's timestamp for the stream's before it looks at the signature: one forged
        frame would shut the true sender out for ever.
        """
        parser.signing.secret_key = self._key
        parser.check_signature = self.accepts

    def accepts(self, frame: bytes | bytearray, system_id: int, component_id: int) -> bool:
        """Whether a whole signed frame carries our key's signature and a timestamp that is newer than its stream's."""
        low, high = struct.unpack("<IH", frame[-12:-6])
        timestamp = low + (high << 32)
        wanted = hashlib.sha256(bytes(self._key) + bytes(frame[:-6])).digest()[:6]
        if not hmac.compare_digest(wanted, bytes(frame[-6:])):
            return False
        stream = (frame[-13], system_id, component_id)
        last = self._streams.get(stream)
        if timestamp + NEW_STREAM_TICKS < self._timestamp if last is None else timestamp <= last:
            return False
        if last is None and len(self._streams) >= MAX_STREAMS:
            del self._streams[min(self._streams, key=self._streams.__getitem__)]
        self._streams[stream] = timestamp
        if timestamp > self._timestamp:
            self._timestamp, self._offset = timestamp, None
        self.heard = True
        return True

    def save(self) -> None:
        """Keep the newest timestamps. A disk that fails is no reason to stop flying: the old ones stay."""
        streams = {"/".join(map(str, stream)): timestamp for stream, timestamp in self._streams.items()}
        beside = self._state_file.with_name(self._state_file.name + ".new")
        try:
            beside.write_text(json.dumps({"timestamp": self._timestamp, "streams": streams}), encoding="utf-8")
            os.replace(beside, self._state_file)
        except OSError:
            return

    def close(self) -> None:
        """Save, and forget the key."""
        if self.heard:
            self.save()
        self.forget()

    def forget(self) -> None:
        """Overwrite the key."""
        for k in range(len(self._key)):
            self._key[k] = 0


def open_signing(key_file: str, state_file: str) -> Signing | None:
    """Signing with the key of a file; None where no key is configured. UserError when the files cannot be used."""
    if not key_file:
        return None
    state = Path(state_file or f"{key_file}.state")
    if not state.parent.is_dir() or not os.access(state.parent, os.W_OK):
        raise UserError(
            f"signing state {state} cannot be written; set autopilot.signing_state to a file in a folder that can."
        )
    return Signing(read_key(Path(key_file)), state)


def read_key(path: Path) -> bytearray:
    """The 32 bytes of a key file that only its owner may read. UserError, without a byte of it, otherwise."""
    try:
        with open_file(path, 2**63 - 1) as stream:
            mode = os.fstat(stream.fileno()).st_mode
            key = bytearray(KEY_BYTES + 1)
            length = stream.readinto(key)
    except UntrustedError as error:
        raise UserError(f"signing key {error}") from None
    except OSError as error:
        raise UserError(f"signing key {path} cannot be read: {error.strerror}; give the flight's key file.") from None
    if mode & 0o077:
        raise UserError(f"signing key {path} may be read by others; run: chmod 600 {path}")
    if length != KEY_BYTES:
        raise UserError(f"signing key {path} must hold exactly {KEY_BYTES} bytes; make one: head -c 32 /dev/urandom.")
    del key[KEY_BYTES:]
    if not any(key):
        raise UserError(f"signing key {path} is all zeros, which turns signing off; make another one.")
    return key


def first_timestamp(unix_ns: int) -> int:
    """The timestamp of a moment of UTC, for SETUP_SIGNING; 1 before 2015."""
    return min(max((unix_ns - EPOCH_UNIX_S * 1_000_000_000) // TICK_NS, 1), MAX_TIMESTAMP - 1)


def _load(path: Path) -> tuple[int, dict[Stream, int]]:
    """Timestamps of an earlier run; UserError for a file that is damaged: to guess would invite replays."""
    try:
        data = read_file(path, STATE_BYTES_MAX)
    except FileNotFoundError:
        return 1, {}
    except (OSError, UntrustedError) as error:
        raise UserError(f"signing state {path} cannot be read: {error}; remove it and set signing up again.") from None
    try:
        tree = read_json(data, "the signing state", STATE_BYTES_MAX)
        timestamp = int(tree["timestamp"])
        streams: dict[Stream, int] = {}
        for name, value in tree["streams"].items():
            link, system, component = (int(part) for part in name.split("/"))
            streams[link, system, component] = int(value)
    except (UntrustedError, ValueError, TypeError, KeyError, AttributeError):
        raise UserError(f"signing state {path} is damaged; remove it and set signing up again.") from None
    if not 0 < timestamp <= MAX_TIMESTAMP:
        raise UserError(f"signing state {path} is damaged; remove it and set signing up again.")
    return timestamp, streams
