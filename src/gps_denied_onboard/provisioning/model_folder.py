"""The manifest of a folder of models, written whole or not at all."""

from __future__ import annotations

from pathlib import Path

from gps_denied_onboard.atomic_file import replace_whole
from gps_denied_onboard.errors import UserError
from gps_denied_onboard.provisioning.manifest import MANIFEST_FILE, artefact_of, manifest_bytes
from gps_denied_onboard.untrusted.bounded import read_file
from gps_denied_onboard.untrusted.folders import plain_files

MODEL_BYTES_MAX = 2**31
SUFFIXES = (".onnx", ".engine")


def write_manifest(directory: Path, out: Path | None) -> tuple[Path, list[str]]:
    """Write the manifest of the models in `directory` to `out` (None: there); its path and the models' names.

    UserError when there is no model or a file cannot be read or written.
    """
    target = out or directory / MANIFEST_FILE
    try:
        directory.stat()
        files = [file for file in plain_files(directory) if file.suffix in SUFFIXES]
        if not files:
            raise UserError(f"{directory} holds no model ({', '.join(SUFFIXES)}); give the folder that holds them.")
        artefacts = [artefact_of(file.name, read_file(file, MODEL_BYTES_MAX, follow=False)) for file in files]
        replace_whole(target, manifest_bytes(artefacts))
    except OSError as error:
        raise UserError(
            f"{error.filename or target}: {error.strerror}; give a folder of models that can be read, and --out a file "
            "that can be written."
        ) from None
    return target, [a.path for a in artefacts]
