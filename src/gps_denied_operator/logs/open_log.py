"""Any log that is read, by what its first bytes say, whatever its name is."""

from __future__ import annotations

from pathlib import Path

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.untrusted import UntrustedError
from gps_denied_onboard.untrusted.bounded import open_file
from gps_denied_onboard.untrusted.text import shown
from gps_denied_operator.logs.flight_log import FlightLog

LOG_BYTES_MAX = 8 * 1024**3
HEAD_BYTES = 4096
DATAFLASH_HEAD = b"\xa3\x95"
ULOG_HEAD = b"ULog\x01\x12\x35"
BLACKBOX_HEAD = b"H Product:Blackbox"
MAVLINK_MAGICS = (0xFE, 0xFD)
KNOWN = "ArduPilot .bin, .log or .tlog, PX4 .ulg, or the CSV that blackbox_decode makes of an iNav blackbox"


def open_log(path: Path) -> FlightLog:
    """Read a log whole. UserError where it cannot be read, is of no known format, or holds nothing of use."""
    head = _head(path)
    if head.startswith(ULOG_HEAD):
        from gps_denied_operator.logs.ulog import read_ulog

        log = read_ulog(path)
    elif BLACKBOX_HEAD in head:
        raise UserError(
            f"{shown(path)} is a blackbox as the flight controller writes it, which no library that this program may "
            "carry reads. Decode it with iNav's blackbox-tools (`blackbox_decode --merge-gps LOG`) and give the CSV."
        )
    elif _is_blackbox_csv(head):
        from gps_denied_operator.logs.blackbox import read_blackbox_csv

        log = read_blackbox_csv(path)
    elif head.startswith((DATAFLASH_HEAD, b"FMT,", b"FMT ,")):
        from gps_denied_operator.logs.dataflash import read_dataflash

        log = read_dataflash(path)
    elif len(head) > 8 and head[8] in MAVLINK_MAGICS:
        from gps_denied_operator.logs.telemetry_log import read_telemetry_log

        log = read_telemetry_log(path)
    elif DATAFLASH_HEAD + b"\x80" in head:
        from gps_denied_operator.logs.dataflash import read_dataflash

        log = read_dataflash(path)
    else:
        raise UserError(f"{shown(path)} is no log that is read here; give {KNOWN}.")
    if not log.messages:
        told = " ".join(log.notes) or "nothing was logged."
        raise UserError(f"{shown(path)} holds no sample of any sensor: {told} Give the log of a flight: {KNOWN}.")
    if len(log.messages) > 1 and log.messages[0].t_ns == log.messages[-1].t_ns:
        raise UserError(
            f"{shown(path)}: its time stands still, all {len(log.messages)} samples have one stamp. Decode it again "
            "with a newer version of the program that made it, or download it again from the flight controller."
        )
    return log


def _head(path: Path) -> bytes:
    try:
        with open_file(path, LOG_BYTES_MAX) as stream:
            head = stream.read(HEAD_BYTES)
    except UntrustedError as error:
        raise UserError(str(error)) from error
    except OSError as error:
        raise UserError(f"log {shown(path)} cannot be read: {error.strerror}; give {KNOWN}.") from error
    if not head:
        raise UserError(f"{shown(path)} is empty; copy the log again.")
    return head


def _is_blackbox_csv(head: bytes) -> bool:
    """The decoder's table begins with these two columns."""
    first = head.split(b"\n", 1)[0].replace(b'"', b"").replace(b" ", b"").lower()
    return b"loopiteration" in first and b"time" in first and b"," in first
