"""GNSS_INTEGRITY (MAVLink 441): what a receiver itself says of jamming and spoofing.

Autopilots send it that are newer than the pinned pymavlink, whose dialect it is added to here: then its checksum and
signature are looked at as those of any other message. Where the definition changes, so does its checksum byte, and the
message is passed over.
"""

from __future__ import annotations

import struct
from typing import Any

NAME = "GNSS_INTEGRITY"
NUMBER = 441
CRC_EXTRA = 169
WIRE = (
    ("uint32_t", "system_errors"), ("uint16_t", "raim_hfom"), ("uint16_t", "raim_vfom"), ("uint8_t", "id"),
    ("uint8_t", "authentication_state"), ("uint8_t", "jamming_state"), ("uint8_t", "spoofing_state"),
    ("uint8_t", "raim_state"), ("uint8_t", "corrections_quality"), ("uint8_t", "system_status_summary"),
    ("uint8_t", "gnss_signal_quality"), ("uint8_t", "post_processing_quality"),
)  # fmt: skip
"""Fields with their types in the order of the wire."""
MITIGATED, DETECTED = 2, 3
JAMMING, SPOOFING = 1, 2
"""Bits of `GpsSample.interference`."""


def interference_of(jamming_state: int, spoofing_state: int) -> int:
    """`GpsSample.interference` for a receiver's states (0 unknown, 1 none, 2 mitigated, 3 detected).

    Jamming that is mitigated leaves the position good; a forger who is kept out for now is a forger all the same.
    """
    jammed = jamming_state == DETECTED
    return (JAMMING if jammed else 0) | (SPOOFING if spoofing_state in (MITIGATED, DETECTED) else 0)


def add_to(dialect: Any) -> None:
    """Teach a pymavlink dialect the message, where it does not know it."""
    if NUMBER in dialect.mavlink_map:
        return
    names = [name for _, name in WIRE]

    def make(self: Any, *values: int) -> None:
        dialect.MAVLink_message.__init__(self, NUMBER, NAME)
        self._fieldnames, self._instance_field, self._instance_offset = names, "id", 8
        for name, value in zip(names, values, strict=True):
            setattr(self, name, value)

    def pack(self: Any, mav: Any, force_mavlink1: bool = False) -> Any:
        payload = self.unpacker.pack(*(getattr(self, name) for name in names))
        return self._pack(mav, CRC_EXTRA, payload, force_mavlink1=force_mavlink1)

    kind = {
        "id": NUMBER, "msgname": NAME, "fieldnames": names, "ordered_fieldnames": names,
        "fieldtypes": [kind for kind, _ in WIRE], "fielddisplays_by_name": {}, "fieldenums_by_name": {},
        "fieldunits_by_name": {}, "native_format": bytearray(b"<IHHBBBBBBBBB"), "orders": list(range(len(WIRE))),
        "lengths": [1] * len(WIRE), "array_lengths": [0] * len(WIRE), "crc_extra": CRC_EXTRA,
        "unpacker": struct.Struct("<IHH9B"), "instance_field": "id", "instance_offset": 8,
        "__init__": make, "pack": pack,
    }  # fmt: skip
    dialect.mavlink_map[NUMBER] = type("MAVLink_gnss_integrity_message", (dialect.MAVLink_message,), kind)
    dialect.MAVLINK_MSG_ID_GNSS_INTEGRITY = NUMBER
