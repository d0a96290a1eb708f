"""Matchers as a flight would have them: `classic` always, `learned` where the real models lie beside the checkout."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from gps_denied_onboard.config import Config, StrategyNames
from gps_denied_onboard.inference.config import InferenceConfig
from gps_denied_onboard.localisation.matching.map_projector import MapProjector
from gps_denied_onboard.provisioning.model_folder import write_manifest
from gps_denied_onboard.runtime_root.matchers import BuiltMatcher, build_matcher
from gps_denied_onboard.runtime_root.strategies import load_composition


@pytest.fixture(scope="session")
def learned_inference(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> InferenceConfig:
    """Return the settings of the real models, with a manifest of them; skip where they are absent."""
    models = shared_data / "models"
    if not models.is_dir():
        pytest.skip(f"no real models at {models}")
    manifest, _ = write_manifest(models, tmp_path_factory.mktemp("models") / "manifest.json")
    return InferenceConfig(str(models), str(manifest))


@pytest.fixture(scope="session")
def built(painted_ground: Any, request: pytest.FixtureRequest) -> Iterator[Callable[[str], BuiltMatcher]]:
    """Return what builds a matcher over the painted ground, each strategy once."""
    made: dict[str, BuiltMatcher] = {}
    with ExitStack() as closing:

        def build(name: str) -> BuiltMatcher:
            if name not in made:
                inference = request.getfixturevalue("learned_inference") if name == "learned" else InferenceConfig()
                ground = painted_ground
                on_map = MapProjector(ground.mosaic(), ground.local, ground.terrain, ground.camera)
                config = Config(strategies=StrategyNames(matching=name), inference=inference)
                made[name] = build_matcher(config, on_map, load_composition(), closing)
            return made[name]

        yield build
