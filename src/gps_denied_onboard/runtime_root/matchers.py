"""The matching strategy of a configuration, with the models that it needs, loaded and warmed up."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from gps_denied_onboard.config import Config
from gps_denied_onboard.errors import UserError
from gps_denied_onboard.inference import Engine, Runtime
from gps_denied_onboard.inference.models import ModelFolder
from gps_denied_onboard.localisation.matching import Matcher, MatcherContext, Shapes
from gps_denied_onboard.localisation.matching.map_projector import MapProjector
from gps_denied_onboard.messages import InferenceRecord
from gps_denied_onboard.runtime_root.strategies import Composition, resolve


@dataclass(frozen=True, slots=True)
class BuiltMatcher:
    """A matcher, and on what its models run."""

    matcher: Matcher
    engines: tuple[InferenceRecord, ...] = ()


def build_matcher(config: Config, ground: MapProjector, composition: Composition, closing: ExitStack) -> BuiltMatcher:
    """The matcher that the configuration names; `closing` releases its engines. UserError says what is missing."""
    matcher_class: type[Matcher] = resolve("matching", config.strategies.matching, composition)
    engines: list[Engine] = []

    def load(model: str, shapes: Shapes) -> Engine:
        runtime: Runtime = resolve("inference", config.strategies.inference, composition)(config.inference)
        engine = runtime.load(open_models(config), model, shapes)
        closing.callback(engine.release)
        engines.append(engine)
        return engine

    matcher = matcher_class.build(MatcherContext(ground, config, load))
    return BuiltMatcher(matcher, tuple(engine.label for engine in engines))


def open_models(config: Config) -> ModelFolder:
    """The folder of models that the configuration names."""
    chosen = config.inference
    if not chosen.models_directory:
        raise UserError(
            "no models: set inference.models_directory to the folder that holds them, or strategies.matching to "
            "'classic', which needs none."
        )
    manifest = Path(chosen.manifest) if chosen.manifest else None
    return ModelFolder(Path(chosen.models_directory), manifest, chosen.manifest_sha256)


def model_shapes(config: Config, composition: Composition) -> dict[str, Shapes]:
    """The models that the configuration's matcher loads, in order, and the shapes of their inputs; may be empty."""
    matcher_class: type[Matcher] = resolve("matching", config.strategies.matching, composition)
    return dict(matcher_class.models(config))


def compile_engines(config: Config, composition: Composition, directory: Path) -> Iterator[Path]:
    """Build TensorRT engines of the matcher's models into `directory`, one after the other."""
    runtime = resolve("inference", "tensorrt", composition)(config.inference)
    shapes_of = model_shapes(config, composition)
    if not shapes_of:
        raise UserError(
            f"strategies.matching '{config.strategies.matching}' runs no model: there is nothing to compile; set it to "
            "the strategy that will be flown, such as 'learned'."
        )
    models = open_models(config)
    directory.mkdir(parents=True, exist_ok=True)
    for model, shapes in shapes_of.items():
        yield runtime.compile(models, model, shapes, directory)
