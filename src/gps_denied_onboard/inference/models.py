"""The folder of models: nothing is read from it that the manifest does not name, byte for byte."""

from __future__ import annotations

from pathlib import Path

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.provisioning.manifest import MANIFEST_FILE, Manifest, parse_manifest


class ModelFolder:
    """Models below `directory` that `manifest` names. UserError when the manifest cannot be read or trusted."""

    def __init__(self, directory: Path, manifest: Path | None = None) -> None:
        self._directory = directory
        path = manifest or directory / MANIFEST_FILE
        try:
            data = path.read_bytes()
        except OSError as error:
            raise UserError(
                f"no manifest of the models at {path}: {error.strerror}; "
                "make one with `gps-denied-onboard models manifest`, or set inference.manifest."
            ) from None
        self.manifest: Manifest = parse_manifest(data)

    def read(self, name: str) -> bytes:
        """The bytes of a model: those that were compared with the manifest, not the file's a moment later."""
        if name not in self.manifest.artefacts:
            return self.manifest.checked(name, b"")
        try:
            data = (self._directory / name).read_bytes()
        except OSError as error:
            raise UserError(
                f"model {self._directory / name} cannot be read: {error.strerror}; copy it on board again."
            ) from None
        return self.manifest.checked(name, data)
