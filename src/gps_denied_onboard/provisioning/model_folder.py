"""The manifest of a folder of models, written whole or not at all."""

from __future__ import annotations

from pathlib import Path

from gps_denied_onboard.atomic_file import replace_whole
from gps_denied_onboard.errors import UserError
from gps_denied_onboard.provisioning.manifest import MANIFEST_FILE, artefact_of, manifest_bytes

SUFFIXES = (".onnx", ".engine")


def write_manifest(directory: Path, out: Path | None) -> tuple[Path, list[str]]:
    """Write the manifest of the models in `directory` to `out` (None: there); its path and the models' names.

    UserError when there is no model or a file cannot be read or written.
    """
    target = out or directory / MANIFEST_FILE
    try:
        files = sorted(f for f in directory.iterdir() if f.suffix in SUFFIXES and f.is_file())
        if not files:
            raise UserError(f"{directory} holds no model ({', '.join(SUFFIXES)}); give the folder that holds them.")
        artefacts = [artefact_of(file.name, file.read_bytes()) for file in files]
        replace_whole(target, manifest_bytes(artefacts))
    except OSError as error:
        raise UserError(
            f"{error.filename or target}: {error.strerror}; give a folder of models that can be read, and --out a file "
            "that can be written."
        ) from None
    return target, [a.path for a in artefacts]
