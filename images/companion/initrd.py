"""The initial RAM file system: busybox, dmsetup with its libraries, the kernel's modules, `initrd/init`."""

from __future__ import annotations

import subprocess
from pathlib import Path

from debs import package_name, unpack
from kernel import KernelTree

HERE = Path(__file__).resolve().parent
FROM_DEBS = ("busybox-static", "dmsetup", "libdevmapper1.02.1", "libudev1", "libselinux1", "libpcre2-8-0", "libc6",
             "libcap2")  # fmt: skip
LIBRARIES = ("libdevmapper.so.1.02.1", "libudev.so.1", "libselinux.so.1", "libm.so.6", "libc.so.6", "libpcre2-8.so.0",
             "libcap.so.2")  # fmt: skip
MULTIARCH = "usr/lib/aarch64-linux-gnu"


def build_initrd(debs: list[Path], kernel: KernelTree, modules: tuple[str, ...], scratch: Path, out: Path) -> None:
    """Write a zstd-packed cpio to `out`: same input, same bytes. `zstd` must be on PATH."""
    tree = scratch / "initrd"
    unpack([deb for deb in debs if package_name(deb) in FROM_DEBS], tree)
    files = {
        "init": (0o100755, (HERE / "initrd/init").read_bytes()),
        "bin/busybox": (0o100755, (tree / "usr/bin/busybox").read_bytes()),
        "bin/dmsetup": (0o100755, (tree / "usr/sbin/dmsetup").read_bytes()),
        "lib/ld-linux-aarch64.so.1": (0o100755, (tree / MULTIARCH / "ld-linux-aarch64.so.1").read_bytes()),
    }
    for name in LIBRARIES:
        files[f"lib/aarch64-linux-gnu/{name}"] = (0o100755, (tree / MULTIARCH / name).read_bytes())
    order = kernel.closure(modules)
    for path in order:
        files[f"lib/modules/{Path(path).name}"] = (0o100644, (kernel.modules / path).read_bytes())
    files["lib/modules/order"] = (0o100644, "".join(f"{Path(path).name}\n" for path in order).encode())
    folders = {"bin", "lib", "lib/aarch64-linux-gnu", "lib/modules", "proc", "sys", "dev", "run", "sysroot"}
    archive = scratch / "initrd.cpio"
    archive.write_bytes(cpio({**files, **dict.fromkeys(folders, (0o040755, b""))}))
    subprocess.run(["zstd", "-q", "-19", "-T1", "-f", archive, "-o", out], check=True)


def cpio(files: dict[str, tuple[int, bytes]]) -> bytes:
    """A newc archive of path -> (mode, content), sorted, without times, with the one device that init needs first."""
    archive = bytearray()

    def add(number: int, name: str, mode: int, body: bytes, device: tuple[int, int] = (0, 0)) -> None:
        path = name.encode() + b"\0"
        fields = (number, mode, 0, 0, 1, 0, len(body), 0, 0, *device, len(path), 0)
        archive.extend(b"070701" + b"".join(b"%08X" % field for field in fields))
        for part in (path, body):
            archive.extend(part)
            archive.extend(b"\0" * (-len(archive) % 4))

    names = sorted([*files, "dev/console"])
    for number, name in enumerate(names, 1):
        if name == "dev/console":
            add(number, name, 0o020600, b"", (5, 1))
        else:
            add(number, name, *files[name])
    add(0, "TRAILER!!!", 0, b"")
    archive.extend(b"\0" * (-len(archive) % 512))
    return bytes(archive)
