"""An emulated aircraft computer: qemu-system-aarch64, its console as lines, its two serial ports as bytes."""

from __future__ import annotations

import contextlib
import re
import select
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

FIRMWARE = Path("/usr/share/AAVMF/AAVMF_CODE.fd")
VARIABLES = Path("/usr/share/AAVMF/AAVMF_VARS.fd")
START_LIMIT_S = 60.0
QUIET_S = 1.0
COMPANION = "10.41.10.2"
NETWORK = "user,id=n0,net=10.41.10.0/24,host=10.41.10.1,dns=10.41.10.3,dhcpstart=10.41.10.15,restrict=on"
ESCAPES = re.compile(rb"\x1b\[[0-9;?=]*[A-Za-z]|\x1b[()][A-Z0-9]|\r")


class Machine:
    """Runs from construction to `close`. `direct` is (kernel, initrd, command line): no firmware, no boot loader.

    `link` is the other end of ttyS1: it is given what arrived and says what to send, some hundred times a second.
    `ssh_port` of this machine's loopback is the companion's port 22, over a network that leads nowhere else.
    """

    def __init__(
        self, disk: Path, scratch: Path, *, extra_disk: Path | None = None, discard: bool = False,
        direct: tuple[Path, Path, str] | None = None, cores: int = 2,
        link: Callable[[bytes], bytes] = lambda _received: b"", ssh_port: int | None = None,
    ) -> None:  # fmt: skip
        paths = [scratch / f"{disk.stem}.{name}" for name in ("console", "ttyS0", "ttyS1")]
        listeners = []
        for path in paths:
            path.unlink(missing_ok=True)
            listener = socket.socket(socket.AF_UNIX)
            listener.bind(str(path))
            listener.listen(1)
            listener.settimeout(START_LIMIT_S)
            listeners.append(listener)
        command = ["setpriv", "--pdeathsig", "TERM"]  # no machine outlives the test
        command += ["qemu-system-aarch64", "-M", "virt,acpi=off", "-cpu", "cortex-a72", "-smp", str(cores)]
        command += ["-m", "2048"]
        command += ["-accel", "tcg,thread=multi", "-nic", "none", "-display", "none", "-monitor", "none"]
        command += ["-chardev", f"socket,id=c1,path={paths[0]}", "-serial", "chardev:c1"]
        for number, path in enumerate(paths[1:], 2):
            command += ["-chardev", f"socket,id=c{number},path={path}", "-device", f"pci-serial,chardev=c{number}"]
        command += ["-device", "virtio-rng-pci"]
        if ssh_port is not None:
            command += ["-netdev", f"{NETWORK},hostfwd=tcp:127.0.0.1:{ssh_port}-{COMPANION}:22"]
            command += ["-device", "virtio-net-pci,netdev=n0,romfile="]
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
            command += ["-device", f"virtio-blk-pci,drive=d{number},bootindex={number}"]
        self._process = subprocess.Popen(command)
        try:
            self._console, self._serial, self._port = (listener.accept()[0] for listener in listeners)
        except TimeoutError:
            self._process.kill()
            raise
        finally:
            for listener in listeners:
                listener.close()
        self._port.setblocking(False)
        self._link = link
        self._partial = self._unsent = b""
        self.serial = b""
        """What ttyS0 has sent."""

    def lines(self, limit_s: float) -> Iterator[str]:
        """Console lines, an empty one after each quiet second, until the machine ends. TimeoutError after `limit_s`."""
        end_s, told_s = time.monotonic() + limit_s, time.monotonic()
        while self._process.poll() is None:
            if time.monotonic() > end_s:
                raise TimeoutError(f"the machine did not get further in {limit_s:.0f} s")
            ready, _, _ = select.select([self._console, self._serial, self._port], [], [], 0.01)
            self._unsent += self._link(self._port.recv(1 << 16) if self._port in ready else b"")
            with contextlib.suppress(BlockingIOError, ConnectionError):
                self._unsent = self._unsent[self._port.send(self._unsent) :] if self._unsent else b""
            if self._serial in ready:
                self.serial += self._serial.recv(1 << 16)
            if self._console in ready:
                self._partial += self._console.recv(1 << 16)
                *whole, self._partial = self._partial.split(b"\n")
                yield from (ESCAPES.sub(b"", line).decode(errors="replace") for line in whole)
                told_s = time.monotonic()
            elif time.monotonic() - told_s > QUIET_S:
                told_s = time.monotonic()
                yield ""

    def close(self) -> None:
        self._process.terminate()
        self._process.wait()
        for end in (self._console, self._serial, self._port):
            end.close()


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
