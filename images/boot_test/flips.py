"""One byte of slot A flipped: the initial file system refuses the slot and accepts slot B."""

from __future__ import annotations

import random
import re
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from boot_test.machine import Machine, efi_sections

from gps_denied_operator.images.disk import partitions

LIMIT_S = 400.0
BLOCK_BYTES = 4096
SUPERBLOCK_BYTES = 512
HASHES_A_BLOCK = 127
"""At least one block of the hash tree for so many blocks of data (128 hashes a block, and the levels above)."""


def check_flips(image: Path, scratch: Path, count: int, chance: random.Random) -> list[str]:
    """Flip `count` bytes, one at a time, each in a copy; two machines at a time. Returns what went wrong."""
    start = direct_start(image, scratch)
    blocks = int(re.search(r"root\.blocks=(\d+)", start[2])[1])  # type: ignore[index]
    used_bytes = (blocks + 1 + blocks // HASHES_A_BLOCK) * BLOCK_BYTES
    slot_bytes = partitions(image / "companion.img")["root-a"].start_bytes
    superblock = blocks * BLOCK_BYTES + chance.randrange(SUPERBLOCK_BYTES)
    places = [0, superblock, *(chance.randrange(used_bytes) for _ in range(count - 2))][:count]

    def one(number: int) -> str | None:
        begin_s = time.monotonic()
        disk = copy_disk(image, scratch / f"flip-{number}.img")
        flip(disk, slot_bytes + places[number])
        machine = Machine(disk, scratch, discard=True, cores=1, direct=start)
        seen = ""
        try:
            for line in machine.lines(LIMIT_S):
                seen += line + "\n"
                if "slot root-b" in line or "slot root-a accepted" in line:
                    break
        except TimeoutError as error:
            seen += str(error)
        finally:
            machine.close()
            disk.unlink()
        why = re.search(r"slot root-a refused: (.*?) *\[", seen)
        good = why is not None and "slot root-b accepted" in seen and "root-a accepted" not in seen
        said = f"refused ({why[1] if why else ''}), slot B accepted" if good else "WRONG"
        print(f"flip at byte {places[number]}: {said} ({time.monotonic() - begin_s:.0f} s)", flush=True)
        return None if good else f"a flip at byte {places[number]} of slot A: {seen[-400:]}"

    with ThreadPoolExecutor(2) as pool:
        return [fault for fault in pool.map(one, range(len(places))) if fault]


def direct_start(image: Path, scratch: Path) -> tuple[Path, Path, str]:
    """Kernel, initial file system and command line of the image, for a start without firmware."""
    sections = efi_sections((image / "companion.efi").read_bytes())
    for name in (".linux", ".initrd"):
        (scratch / name[1:]).write_bytes(sections[name])
    return scratch / "linux", scratch / "initrd", sections[".cmdline"].rstrip(b"\0").decode()


def copy_disk(image: Path, target: Path) -> Path:
    """A copy of the disk image that may be written."""
    subprocess.run(["cp", "--sparse=always", image / "companion.img", target], check=True)
    target.chmod(0o644)
    return target


def flip(disk: Path, at_bytes: int) -> None:
    """Change one bit of the byte at `at_bytes`."""
    with disk.open("r+b") as stream:
        stream.seek(at_bytes)
        byte = stream.read(1)[0]
        stream.seek(at_bytes)
        stream.write(bytes([byte ^ 1]))
