"""Write the operator image: one layer of store paths, in an OCI layout, in a tar. Same input, same bytes.

    oci.py OUT --closure GRAPH... --rootfs PATH --shell BUSYBOX

GRAPH is a file of Nix's exportReferencesGraph: its store paths go in as they lie. /bin gets the commands of PATH and a
shell, /etc the accounts that PostgreSQL is started under.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import tarfile
from pathlib import Path

PASSWD = """root:x:0:0:root:/:/bin/sh
postgres:x:100:100:postgres:/var/lib/postgresql:/bin/sh
nobody:x:65534:65534:nobody:/:/bin/false
"""
GROUP = "root:x:0:\npostgres:x:100:\nnogroup:x:65534:\n"
FOLDERS = {"bin": 0o755, "etc": 0o755, "tmp": 0o1777, "var": 0o755, "var/lib": 0o755, "srv": 0o1777}
TYPE = "application/vnd.oci.image"


def closure(graphs: list[Path]) -> list[Path]:
    """The store paths of the graphs: each entry is a path, its deriver, a count and that many references."""
    paths: set[str] = set()
    for graph in graphs:
        lines = iter(graph.read_text().splitlines())
        for path in lines:
            paths.add(path)
            next(lines)
            for _ in range(int(next(lines))):
                next(lines)
    return [Path(path) for path in sorted(paths)]


def member(name: str, kind: bytes, mode: int) -> tarfile.TarInfo:
    """An entry without owner and time."""
    info = tarfile.TarInfo(name)
    info.type, info.mode, info.mtime = kind, mode, 1
    return info


def add_path(layer: tarfile.TarFile, path: Path) -> None:
    """One file, folder or link as it lies in the store."""
    name = str(path).lstrip("/")
    if path.is_symlink():
        add_link(layer, name, str(path.readlink()))
    elif path.is_dir():
        layer.addfile(member(name, tarfile.DIRTYPE, 0o755))
    else:
        info = member(name, tarfile.REGTYPE, 0o555 if path.stat().st_mode & 0o111 else 0o444)
        info.size = path.stat().st_size
        with path.open("rb") as stream:
            layer.addfile(info, stream)


def add_link(layer: tarfile.TarFile, name: str, target: str) -> None:
    info = member(name, tarfile.SYMTYPE, 0o777)
    info.linkname = target
    layer.addfile(info)


def add_text(layer: tarfile.TarFile, name: str, data: bytes) -> None:
    info = member(name, tarfile.REGTYPE, 0o644)
    info.size = len(data)
    layer.addfile(info, io.BytesIO(data))


def write_layer(file: Path, paths: list[Path], rootfs: Path, shell: str) -> None:
    """The one layer, uncompressed: its digest is then also its diff-id."""
    with tarfile.open(file, "w", format=tarfile.GNU_FORMAT) as layer:
        for name, mode in FOLDERS.items():
            layer.addfile(member(name, tarfile.DIRTYPE, mode))
        for name in ("nix", "nix/store"):
            layer.addfile(member(name, tarfile.DIRTYPE, 0o755))
        add_text(layer, "etc/passwd", PASSWD.encode())
        add_text(layer, "etc/group", GROUP.encode())
        for name in ("sh", "env", "busybox"):
            add_link(layer, f"bin/{name}", shell)
        for command in sorted((rootfs / "bin").iterdir()):
            add_link(layer, f"bin/{command.name}", str(command))
        for path in paths:
            for entry in [path, *sorted(path.rglob("*"))] if path.is_dir() and not path.is_symlink() else [path]:
                add_path(layer, entry)


def digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def pretty(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def write_image(out: Path, layer: Path) -> None:
    """The layout: blobs by their digest, an index that names the manifest."""
    with layer.open("rb") as stream:
        layer_digest = "sha256:" + hashlib.file_digest(stream, "sha256").hexdigest()
    settings = {"Entrypoint": ["/bin/operator-tool"], "Env": ["PATH=/bin"], "WorkingDir": "/srv"}
    config = pretty(
        {
            "architecture": "amd64", "os": "linux", "created": "2023-11-14T22:13:20Z", "config": settings,
            "rootfs": {"type": "layers", "diff_ids": [layer_digest]},
        }
    )  # fmt: skip
    manifest = pretty(
        {
            "schemaVersion": 2, "mediaType": f"{TYPE}.manifest.v1+json",
            "config": {"mediaType": f"{TYPE}.config.v1+json", "digest": digest(config), "size": len(config)},
            "layers": [{"mediaType": f"{TYPE}.layer.v1.tar", "digest": layer_digest, "size": layer.stat().st_size}],
        }
    )  # fmt: skip
    index = pretty(
        {
            "schemaVersion": 2,
            "manifests": [
                {
                    "mediaType": f"{TYPE}.manifest.v1+json", "digest": digest(manifest), "size": len(manifest),
                    "annotations": {"org.opencontainers.image.ref.name": "gps-denied-operator:latest"},
                }
            ],
        }
    )  # fmt: skip
    with tarfile.open(out, "w", format=tarfile.GNU_FORMAT) as image:
        add_text(image, "oci-layout", pretty({"imageLayoutVersion": "1.0.0"}))
        add_text(image, "index.json", index)
        for folder in ("blobs", "blobs/sha256"):
            image.addfile(member(folder, tarfile.DIRTYPE, 0o755))
        for blob in (config, manifest):
            add_text(image, "blobs/sha256/" + digest(blob).partition(":")[2], blob)
        info = member("blobs/sha256/" + layer_digest.partition(":")[2], tarfile.REGTYPE, 0o644)
        info.size = layer.stat().st_size
        with layer.open("rb") as stream:
            image.addfile(info, stream)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=Path)
    parser.add_argument("--closure", type=Path, action="append", required=True)
    parser.add_argument("--rootfs", type=Path, required=True)
    parser.add_argument("--shell", required=True)
    arguments = parser.parse_args()
    layer = Path("layer.tar")
    write_layer(layer, closure(arguments.closure), arguments.rootfs, arguments.shell)
    write_image(arguments.out, layer)


if __name__ == "__main__":
    main()
