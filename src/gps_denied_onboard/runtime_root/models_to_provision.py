"""The learned matcher's models for a cache: ONNX files as the manifest of the models names them, or engines of them."""

from __future__ import annotations

from pathlib import Path

from gps_denied_onboard.config import Config
from gps_denied_onboard.inference.models import ModelFolder
from gps_denied_onboard.runtime_root.matchers import compile_engines, model_shapes, open_models
from gps_denied_onboard.runtime_root.strategies import Composition

ENGINES_FOLDER = "engines"
"""Beside the artefacts: engines are built for minutes, and two builds differ in bytes, so they are kept."""


def models_of(config: Config, composition: Composition, cache: Path) -> tuple[tuple[str, bytes], ...]:
    """Name and bytes of each model that the configuration flies; none for a matcher that needs none.

    TensorRT's engines are compiled here unless a former run did so from the same models; StrategyNotLinkedError
    where TensorRT is asked for and is not on this machine.
    """
    if not model_shapes(config, composition):
        return ()
    if config.strategies.inference != "tensorrt":
        models = open_models(config)
        return tuple((name, models.read(name)) for name in sorted(model_shapes(config, composition)))
    from gps_denied_onboard.provisioning.model_folder import write_manifest

    folder = cache / ENGINES_FOLDER / _inputs_digest(config, composition)
    if not (folder / "manifest.json").exists():
        for engine in compile_engines(config, composition, folder):
            print(f"built {engine}", flush=True)
        write_manifest(folder, None)
    built = ModelFolder(folder)
    return tuple((name, built.read(name)) for name in sorted(built.manifest.artefacts))


def _inputs_digest(config: Config, composition: Composition) -> str:
    """What engines are compiled from: the models by content, their shapes, the precision."""
    import hashlib

    models = open_models(config)
    digest = hashlib.sha256(config.inference.precision.encode())
    for name, shapes in sorted(model_shapes(config, composition).items()):
        digest.update(repr((name, sorted(shapes.items()))).encode())
        digest.update(hashlib.sha256(models.read(name)).digest())
    return digest.hexdigest()[:16]
