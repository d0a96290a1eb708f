"""The read-only root of the companion: userland packages, our Python tree, configuration; squashfs under dm-verity.

    rootfs.py --debs DEBS --python TREE --board FOLDER --version V --out OUT

DEBS is a folder of arm64 packages. TREE holds `site-packages`, our own packages and their libraries, with the
composition that they are sealed with. OUT gets
`root.img` (squashfs, verity superblock, hash tree), `root.json` (hash, salt, blocks, superblock's hash),
`vmlinuz`, `initrd.zst`, `efi/` (boot loader and stub) and `files.txt` (every path with its size).
Same input, same bytes. On PATH: mksquashfs, veritysetup, depmod, zstd.
"""

from __future__ import annotations

import argparse
import compileall
import hashlib
import json
import os
import py_compile
import shutil
import subprocess
import tempfile
from pathlib import Path

from board import Board, read_board
from debs import package_name, unpack, words
from initrd import build_initrd
from kernel import KernelTree

HERE = Path(__file__).resolve().parent
EPOCH_S = 1_700_000_000
BLOCK_BYTES = 4096
UNITS = "etc/systemd/system"
PYTHON_TREE = "usr/lib/gps-denied"
LINKS = {
    "etc/localtime": "/usr/share/zoneinfo/Etc/UTC",
    "etc/mtab": "/proc/self/mounts",
    "usr/bin/awk": "/usr/bin/mawk",
    "usr/bin/python3": "python3.11",
    f"{UNITS}/default.target": "/lib/systemd/system/multi-user.target",
    "etc/systemd/network/10-configured.network": "/var/lib/gps-denied/config/link.network",
}
FOLDERS = ("dev", "etc", "mnt", "proc", "root", "run", "sys", "tmp", "var")
MODES = "/etc/shadow m 600 0 0\n/tmp m 1777 0 0\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("debs", "python", "board", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--version", required=True)
    args = parser.parse_args()
    board = read_board(args.board)
    args.out.mkdir(parents=True, exist_ok=True)
    debs = sorted(args.debs.glob("*.deb"))
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        kernel = unpack_kernel(debs, board, scratch)
        root = scratch / "root"
        make_root(root, debs, board, kernel, args.python, args.version)
        seal(root, args.version, args.out, scratch)
        build_initrd(debs, kernel, board.initrd_modules, scratch, args.out / "initrd.zst")
        shutil.copyfile(kernel.image, args.out / "vmlinuz")
        (args.out / "kernel-release").write_text(kernel.release)
        unpack([deb for deb in debs if package_name(deb) == "systemd-boot-efi"], scratch / "efi")
        shutil.copytree(scratch / "efi/usr/lib/systemd/boot/efi", args.out / "efi", copy_function=shutil.copyfile)


def unpack_kernel(debs: list[Path], board: Board, scratch: Path) -> KernelTree:
    """The one package of `debs` that carries the board's kernel."""
    for deb in debs:
        name = package_name(deb)
        if name.startswith(board.kernel) and name != "linux-image-arm64":
            unpack([deb], scratch / "kernel")
            return KernelTree(scratch / "kernel")
    raise SystemExit(f"board '{board.name}' needs a package '{board.kernel}*', and none is pinned for it")


def make_root(root: Path, debs: list[Path], board: Board, kernel: KernelTree, python: Path, version: str) -> None:
    """The root tree: packages, then our files over them, then what binds them together."""
    left_out = set(words(HERE / "left-out.txt"))
    userland = [deb for deb in debs if package_name(deb) not in left_out and not _is_kernel(deb)]
    unpack(userland, root, words(HERE / "deb_excludes.txt"))
    for name in FOLDERS:
        (root / name).mkdir(exist_ok=True)
    kernel.install(board.modules, root)
    _copy(python, root / PYTHON_TREE)
    for overlay in filter(None, (HERE / "overlay", board.overlay)):
        _copy(overlay, root)
    (root / "etc/os-release").unlink(missing_ok=True)
    (root / "etc/os-release").write_text(os_release(board, version))
    for path, target in LINKS.items():
        _link(root / path, target)
    for unit in words(HERE / "masked.txt"):
        _link(root / UNITS / unit, "/dev/null")
    for generator in words(HERE / "masked-generators.txt"):
        _link(root / "etc/systemd/system-generators" / generator, "/dev/null")
    wants = f"{UNITS}/multi-user.target.wants"
    for unit in sorted(path for path in (root / UNITS).iterdir() if path.suffix in {".service", ".socket"}):
        if not unit.is_symlink() and "WantedBy=multi-user.target" in unit.read_text(encoding="utf-8"):
            _link(root / wants / unit.name, f"../{unit.name}")
    for name in words(HERE / "enabled.txt"):
        _link(root / wants / name, f"/lib/systemd/system/{name}")
    compile_python(root)
    _normalise(root)


def os_release(board: Board, version: str) -> str:
    """What systemd-boot sorts boot entries by, and what `operator-tool` reads."""
    return (
        f'ID=gps-denied\nIMAGE_ID=companion\nVARIANT_ID={board.name}\nNAME="gps-denied companion"\n'
        f'PRETTY_NAME="gps-denied companion {version}"\nVERSION_ID={version}\nIMAGE_VERSION={version}\n'
    )


def compile_python(root: Path) -> None:
    """Byte-compile what is not yet: a read-only root cannot do it later. Hash-based, so that times do not matter."""
    unchecked = py_compile.PycInvalidationMode.UNCHECKED_HASH
    for name in ("usr/lib/python3.11", f"{PYTHON_TREE}/site-packages"):
        if not (root / name / "__pycache__").is_dir() and not compileall.compile_dir(
            root / name, stripdir=str(root), quiet=2, invalidation_mode=unchecked, force=True, workers=2
        ):
            print(f"{name}: some files do not compile (templates and old syntax are left as they are)")


def seal(root: Path, version: str, out: Path, scratch: Path) -> None:
    """Write root.img and root.json: squashfs padded to whole blocks, verity superblock, hash tree."""
    image, modes = out / "root.img", scratch / "modes"
    modes.write_text(MODES)
    image.unlink(missing_ok=True)
    environment = {key: value for key, value in os.environ.items() if key != "SOURCE_DATE_EPOCH"}
    times = ["-all-time", str(EPOCH_S), "-mkfs-time", str(EPOCH_S)]
    plain = ["-noappend", "-all-root", "-no-xattrs", "-no-exports", "-no-progress", "-quiet", "-pf", modes]
    packing = ["-comp", "zstd", "-Xcompression-level", "15", "-b", "128K"]
    subprocess.run(["mksquashfs", root, image, *plain, *times, *packing], check=True, env=environment)
    blocks = -(-image.stat().st_size // BLOCK_BYTES)
    os.truncate(image, blocks * BLOCK_BYTES)
    digest = hashlib.sha256()
    with image.open("rb") as stream:
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
    salt = hashlib.sha256(f"gps-denied root {version} {digest.hexdigest()}".encode()).hexdigest()
    name = f"{salt[:8]}-{salt[8:12]}-4{salt[13:16]}-8{salt[17:20]}-{salt[20:32]}"
    size = str(BLOCK_BYTES)
    done = subprocess.run(
        ["veritysetup", "format", "--salt", salt, "--uuid", name, "--data-block-size", size, "--hash-block-size", size,
         "--data-blocks", str(blocks), "--hash-offset", str(blocks * BLOCK_BYTES), image, image],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    root_hash = next(line.split()[-1] for line in done.stdout.splitlines() if line.startswith("Root hash:"))
    with image.open("rb") as stream:
        stream.seek(blocks * BLOCK_BYTES)
        superblock = hashlib.sha256(stream.read(BLOCK_BYTES)).hexdigest()
    sealed = {"version": version, "hash": root_hash, "salt": salt, "blocks": blocks, "superblock_sha256": superblock}
    (out / "root.json").write_text(json.dumps(sealed, indent=2) + "\n")
    listing = sorted(f"{path.relative_to(root)} {path.lstat().st_size}" for path in root.rglob("*") if path.is_file())
    (out / "files.txt").write_text("\n".join(listing) + "\n")


def _is_kernel(deb: Path) -> bool:
    return package_name(deb).startswith(("linux-image", "nvidia-l4t-kernel"))


def _copy(source: Path, target: Path) -> None:
    for path in sorted(source.rglob("*")):
        to = target / path.relative_to(source)
        if path.is_symlink():
            _link(to, os.readlink(path))
        elif path.is_dir():
            to.mkdir(parents=True, exist_ok=True)
        else:
            _copy_file(path, to)


def _copy_file(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    shutil.copyfile(source, target)
    target.chmod(0o755 if os.access(source, os.X_OK) and source.stat().st_mode & 0o111 else 0o644)


def _link(path: Path, target: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_symlink() or path.exists():
        path.unlink()
    path.symlink_to(target)


def _normalise(root: Path) -> None:
    """Modes without write bits for others and set-user-id, so that only content decides the bytes."""
    for path in root.rglob("*"):
        if not path.is_symlink():
            mode = path.stat().st_mode
            path.chmod(0o755 if path.is_dir() or mode & 0o100 else 0o644)


if __name__ == "__main__":
    main()
