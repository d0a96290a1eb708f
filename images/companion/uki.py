"""A unified kernel image: command line, initrd and kernel as sections of systemd's EFI stub."""

from __future__ import annotations

import struct

PE32_PLUS = 0x20B
INITIALISED_READABLE = 0x40000040
SECTION_BYTES = 40


def unified_kernel(stub: bytes, sections: list[tuple[str, bytes]]) -> bytes:
    """Append `sections` (name, content) to a PE32+ file. ValueError where its header has no room or it is no such file.

    Format: Microsoft's PE specification; names of the sections: systemd-stub(7).
    """
    out = bytearray(stub)
    pe = struct.unpack_from("<I", out, 0x3C)[0]
    optional = pe + 24
    if out[pe : pe + 4] != b"PE\0\0" or struct.unpack_from("<H", out, optional)[0] != PE32_PLUS:
        raise ValueError("the EFI stub is no PE32+ file")
    count, optional_size = struct.unpack_from("<H", out, pe + 6)[0], struct.unpack_from("<H", out, pe + 20)[0]
    section_align, file_align = struct.unpack_from("<II", out, optional + 32)
    header_size = struct.unpack_from("<I", out, optional + 60)[0]
    table = optional + optional_size
    present = [struct.unpack_from("<IIII", out, table + SECTION_BYTES * k + 8) for k in range(count)]
    room = min(header_size, *(raw for _, _, size, raw in present if size))
    if table + SECTION_BYTES * (count + len(sections)) > room:
        raise ValueError(f"the EFI stub's header has no room for {len(sections)} more sections")
    section_align = max(section_align, 4096)
    address = _aligned(max(start + max(size, raw_size) for size, start, raw_size, _ in present), section_align)
    end = max(raw + size for _, _, size, raw in present)
    del out[end:]
    added = 0
    for number, (name, body) in enumerate(sections, count):
        out.extend(b"\0" * (_aligned(len(out), file_align) - len(out)))
        raw_size = _aligned(len(body), file_align)
        header = (name.encode(), len(body), address, raw_size, len(out), 0, 0, 0, 0, INITIALISED_READABLE)
        struct.pack_into("<8sIIIIIIHHI", out, table + SECTION_BYTES * number, *header)
        out.extend(body + b"\0" * (raw_size - len(body)))
        address = _aligned(address + len(body), section_align)
        added += raw_size
    struct.pack_into("<H", out, pe + 6, count + len(sections))
    struct.pack_into("<I", out, optional + 8, struct.unpack_from("<I", out, optional + 8)[0] + added)
    struct.pack_into("<I", out, optional + 56, address)
    struct.pack_into("<I", out, optional + 64, 0)
    return bytes(out)


def _aligned(value: int, to: int) -> int:
    return (value + to - 1) // to * to
