"""The folder of models: nothing is read from it that the manifest does not name, byte for byte."""

from __future__ import annotations

import hashlib
from pathlib import Path

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.provisioning.manifest import (
    MANIFEST_BYTES_MAX,
    MANIFEST_FILE,
    Manifest,
    ManifestError,
    parse_manifest,
)
from gps_denied_onboard.provisioning.onnx_files import refuse_external_data
from gps_denied_onboard.untrusted.bounded import read_file
from gps_denied_onboard.untrusted.folders import inside


class ModelFolder:
    """Models below `directory` that `manifest` names. UserError when the manifest cannot be read or trusted.

    `sha256`: the SHA-256 in hex that the manifest must have, "" for any.
    """

    def __init__(self, directory: Path, manifest: Path | None = None, sha256: str = "") -> None:
        self._directory = directory
        path = manifest or directory / MANIFEST_FILE
        try:
            data = read_file(path, MANIFEST_BYTES_MAX)
        except OSError as error:
            raise UserError(
                f"no manifest of the models at {path}: {error.strerror}; "
                "make one with `gps-denied-onboard models manifest`, or set inference.manifest."
            ) from None
        if sha256 and hashlib.sha256(data).hexdigest() != sha256:
            raise ManifestError(f"the manifest {path} is not the one that was verified; provision again.")
        self.manifest: Manifest = parse_manifest(data)

    def read(self, name: str) -> bytes:
        """The bytes of a model: those that were compared with the manifest, not the file's a moment later."""
        listed = self.manifest.artefacts.get(name)
        if listed is None:
            return self.manifest.checked(name, b"")
        try:
            data = read_file(inside(self._directory, *name.split("/")), listed.size_bytes, follow=False)
        except OSError as error:
            raise UserError(
                f"model {self._directory / name} cannot be read: {error.strerror}; copy it on board again."
            ) from None
        return self.manifest.checked(name, data)

    def read_onnx(self, model: str) -> bytes:
        """The bytes of the ONNX file of a model; UserError too where it takes weights from files beside it."""
        data = self.read(f"{model}.onnx")
        refuse_external_data(model, data)
        return data
