"""The matching strategy of a configuration, with the models that it needs, loaded and warmed up."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from gps_denied_onboard.config import Config
from gps_denied_onboard.errors import UserError
from gps_denied_onboard.inference import Engine, Runtime
from gps_denied_onboard.inference.models import ModelFolder
from gps_denied_onboard.localisation.matching import Matcher
from gps_denied_onboard.localisation.matching.map_projector import MapProjector
from gps_denied_onboard.localisation.pose_config import GateConfig
from gps_denied_onboard.messages import InferenceRecord
from gps_denied_onboard.runtime_root.strategies import Composition, resolve

CLASSIC, LEARNED = "classic", "learned"


@dataclass(frozen=True, slots=True)
class BuiltMatcher:
    """A matcher, the gates that its numbers are held against, and on what its models run."""

    matcher: Matcher
    gates: GateConfig
    engines: tuple[InferenceRecord, ...] = ()


def build_matcher(config: Config, ground: MapProjector, composition: Composition, closing: ExitStack) -> BuiltMatcher:
    """The matcher that the configuration names; `closing` releases its engines. UserError says what is missing."""
    name = config.strategies.matching
    matcher_class = resolve("matching", name, composition)
    if name == CLASSIC:
        return BuiltMatcher(matcher_class(ground, config.matching), config.gates)
    runtime: Runtime = resolve("inference", config.strategies.inference, composition)(config.inference)
    models = open_models(config)
    engines: list[Engine] = []
    for model, shapes in model_shapes(config).items():
        engines.append(runtime.load(models, model, shapes))
        closing.callback(engines[-1].release)
    return BuiltMatcher(
        matcher_class(ground, config.learned, *engines), config.learned.gates, tuple(engine.label for engine in engines)
    )


def open_models(config: Config) -> ModelFolder:
    """The folder of models that the configuration names."""
    chosen = config.inference
    if not chosen.models_directory:
        raise UserError(
            "no models: set inference.models_directory to the folder that holds them, or strategies.matching to "
            f"'{CLASSIC}', which needs none."
        )
    manifest = Path(chosen.manifest) if chosen.manifest else None
    return ModelFolder(Path(chosen.models_directory), manifest, chosen.manifest_sha256)


def model_shapes(config: Config) -> dict[str, Mapping[str, tuple[int, ...]]]:
    """The learned matcher's models, extractor first, and the shapes of their inputs."""
    from gps_denied_onboard.localisation.matching.learned import extractor_shapes, matcher_shapes

    learned = config.learned
    return {learned.extractor: extractor_shapes(learned), learned.matcher: matcher_shapes(learned)}


def compile_engines(config: Config, composition: Composition, directory: Path) -> Iterator[Path]:
    """Build TensorRT engines of the learned matcher's models into `directory`, one after the other."""
    runtime = resolve("inference", "tensorrt", composition)(config.inference)
    models = open_models(config)
    directory.mkdir(parents=True, exist_ok=True)
    for model, shapes in model_shapes(config).items():
        yield runtime.compile(models, model, shapes, directory)
