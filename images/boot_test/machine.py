"""An emulated aircraft computer: qemu-system-aarch64, its console as lines, its second serial port as bytes."""

from __future__ import annotations

import re
import select
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

FIRMWARE = Path("/usr/share/AAVMF/AAVMF_CODE.fd")
VARIABLES = Path("/usr/share/AAVMF/AAVMF_VARS.fd")
ESCAPES = re.compile(rb"\x1b\[[0-9;?=]*[A-Za-z]|\x1b[()][A-Z0-9]|\r")


class Machine:
    """Runs from construction to `close`. `direct` is (kernel, initrd, command line): no firmware, no boot loader."""

    def __init__(
        self, disk: Path, scratch: Path, *, extra_disk: Path | None = None, discard: bool = False,
        direct: tuple[Path, Path, str] | None = None, cores: int = 2,
    ) -> None:  # fmt: skip
        paths = [scratch / f"{disk.stem}.{name}" for name in ("console", "serial")]
        listeners = []
        for path in paths:
            path.unlink(missing_ok=True)
            listener = socket.socket(socket.AF_UNIX)
            listener.bind(str(path))
            listener.listen(1)
            listeners.append(listener)
        command = ["qemu-system-aarch64", "-M", "virt,acpi=off", "-cpu", "cortex-a72", "-smp", str(cores), "-m", "2048"]
        command += ["-accel", "tcg,thread=multi", "-nic", "none", "-display", "none", "-monitor", "none"]
        command += ["-chardev", f"socket,id=c1,path={paths[0]}", "-serial", "chardev:c1"]
        command += ["-chardev", f"socket,id=c2,path={paths[1]}", "-device", "pci-serial,chardev=c2"]
        command += ["-device", "virtio-rng-pci"]
        if direct is None:
            variables = scratch / f"{disk.stem}.vars"
            shutil.copyfile(VARIABLES, variables)
            command += ["-drive", f"if=pflash,format=raw,readonly=on,file={FIRMWARE}"]
            command += ["-drive", f"if=pflash,format=raw,file={variables}"]
        else:
            command += ["-kernel", str(direct[0]), "-initrd", str(direct[1]), "-append", direct[2]]
        for number, file in enumerate(filter(None, (disk, extra_disk))):
            snapshot = ",snapshot=on" if discard else ""
            command += ["-drive", f"if=none,id=d{number},format=raw,file={file},cache=unsafe{snapshot}"]
            command += ["-device", f"virtio-blk-pci,drive=d{number}"]
        self._process = subprocess.Popen(command)
        self._console, self._serial = (listener.accept()[0] for listener in listeners)
        for listener in listeners:
            listener.close()
        self._partial = b""
        self.serial = b""
        """What the second serial port has sent."""

    def lines(self, limit_s: float) -> Iterator[str]:
        """Console lines, until the machine ends. TimeoutError after `limit_s` seconds."""
        end_s = time.monotonic() + limit_s
        while self._process.poll() is None:
            if time.monotonic() > end_s:
                raise TimeoutError(f"the machine did not get further in {limit_s:.0f} s")
            ready, _, _ = select.select([self._console, self._serial], [], [], 0.5)
            if self._serial in ready:
                self.serial += self._serial.recv(1 << 16)
            if self._console in ready:
                self._partial += self._console.recv(1 << 16)
                *whole, self._partial = self._partial.split(b"\n")
                yield from (ESCAPES.sub(b"", line).decode(errors="replace") for line in whole)

    def close(self) -> None:
        self._process.terminate()
        self._process.wait()
        self._console.close()
        self._serial.close()


def efi_sections(kernel: bytes) -> dict[str, bytes]:
    """Sections of a unified kernel image by name."""
    pe = int.from_bytes(kernel[0x3C:0x40], "little")
    count, optional = (int.from_bytes(kernel[pe + at : pe + at + 2], "little") for at in (6, 20))
    found = {}
    for number in range(count):
        header = kernel[pe + 24 + optional + 40 * number :][:40]
        size, start = int.from_bytes(header[8:12], "little"), int.from_bytes(header[20:24], "little")
        found[header[:8].rstrip(b"\0").decode()] = kernel[start : start + size]
    return found
