"""A flight tells once on what its models run; a fallback is one alert."""

from __future__ import annotations

from pathlib import Path

import pytest

from gps_denied_onboard.config import Config, StrategyNames
from gps_denied_onboard.inference.config import InferenceConfig
from gps_denied_onboard.provisioning.model_folder import write_manifest
from gps_denied_onboard.recorder.navlog import DECISIONS_FILE
from gps_denied_onboard.replay.recording import replay_recording


@pytest.mark.slow
def test_a_replay_by_the_learned_matcher(tiny_recording: Path, shared_data: Path, tmp_path: Path) -> None:
    """The same bytes twice; both models have one record each, and all that fell back have one alert."""
    import onnxruntime
    import orjson

    manifest, _ = write_manifest(shared_data / "models", tmp_path / "models.json")
    config = Config(
        strategies=StrategyNames(matching="learned"),
        inference=InferenceConfig(str(shared_data / "models"), str(manifest)),
    )
    for name in ("a", "b"):
        summary = replay_recording(tiny_recording, config, tmp_path / name)
        assert (summary.frames, summary.fixes) == (4, 4)
    decisions = (tmp_path / "a" / DECISIONS_FILE).read_bytes()
    assert decisions == (tmp_path / "b" / DECISIONS_FILE).read_bytes()
    lines = [orjson.loads(line) for line in decisions.splitlines()]
    assert [line["model"] for line in lines if line["kind"] == "inference"] == ["xfeat_dense", "lighterglue_L3"]
    alerts = [line["text"] for line in lines if line["kind"] == "alert" and "inference" in line["text"]]
    there = onnxruntime.get_available_providers()
    if not {"TensorrtExecutionProvider", "CUDAExecutionProvider"} & set(there):
        assert alerts == ["inference fell back to CPU"]
