"""ONNX Runtime: models by manifest only, fixed shapes, and no silent fallback."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.inference.config import InferenceConfig
from gps_denied_onboard.inference.models import ModelFolder
from gps_denied_onboard.inference.onnxruntime import CPU, PROVIDERS, OnnxRuntime
from gps_denied_onboard.provisioning.manifest import ManifestError

from .small_models import folder_of, layer

WEIGHTS = np.random.default_rng(4).normal(size=(5, 3)).astype(np.float32)
SHAPES = {"x": (2, 5)}
ONLY_CPU = set(onnxruntime.get_available_providers()).isdisjoint(PROVIDERS[:2])


@pytest.fixture
def models(tmp_path: Path) -> ModelFolder:
    """Return a folder with one small model."""
    return ModelFolder(folder_of(tmp_path / "models", {"layer.onnx": layer(WEIGHTS)}))


def test_a_model_computes_what_it_says(models: ModelFolder) -> None:
    """The loaded model gives the product of its weights to float precision, for any input of the fixed shape."""
    engine = OnnxRuntime(InferenceConfig()).load(models, "layer", SHAPES)
    x = np.random.default_rng(5).normal(size=(2, 5)).astype(np.float32)
    np.testing.assert_allclose(engine.infer({"x": x})["y"], np.maximum(x @ WEIGHTS, 0.0), rtol=1e-5, atol=1e-6)
    assert (engine.label.model, engine.label.runtime) == ("layer", "onnxruntime")


@pytest.mark.skipif(not ONLY_CPU, reason="this machine's onnxruntime has a GPU provider")
def test_falling_back_is_told(models: ModelFolder) -> None:
    """Where there is only the CPU the label says so, and why each better provider is not used."""
    label = OnnxRuntime(InferenceConfig()).load(models, "layer", SHAPES).label
    assert (label.provider, label.fallback) == (CPU, True)
    assert all(name in label.reason for name in PROVIDERS[:2])


@pytest.mark.skipif(not ONLY_CPU, reason="this machine's onnxruntime has a GPU provider")
def test_falling_back_can_be_forbidden(models: ModelFolder) -> None:
    """With disallow_cpu_fallback a machine without GPU providers refuses to load, in one sentence."""
    with pytest.raises(UserError, match=r"would run on the CPU, which inference\.disallow_cpu_fallback forbids"):
        OnnxRuntime(InferenceConfig(disallow_cpu_fallback=True)).load(models, "layer", SHAPES)


@pytest.mark.parametrize(("name", "shape"), [("x", (3, 5)), ("x", (2, 4)), ("z", (2, 5))])
def test_another_shape_or_name_is_refused(models: ModelFolder, name: str, shape: tuple[int, ...]) -> None:
    """An input that was not announced would make a GPU build its kernels anew in flight: it is an error."""
    engine = OnnxRuntime(InferenceConfig()).load(models, "layer", SHAPES)
    with pytest.raises(ValueError, match="was loaded for inputs"):
        engine.infer({name: np.zeros(shape, np.float32)})


def test_a_released_engine_is_gone(models: ModelFolder) -> None:
    """After release an engine refuses to compute; releasing twice is harmless."""
    engine = OnnxRuntime(InferenceConfig()).load(models, "layer", SHAPES)
    engine.release()
    engine.release()
    with pytest.raises(ValueError, match="was released"):
        engine.infer({"x": np.zeros((2, 5), np.float32)})


def test_a_changed_model_is_not_loaded(tmp_path: Path) -> None:
    """A model that differs from the manifest by one bit is refused before ONNX Runtime sees it."""
    data = layer(WEIGHTS)
    folder = folder_of(tmp_path / "models", {"layer.onnx": data})
    (folder / "layer.onnx").write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(ManifestError, match="SHA-256"):
        OnnxRuntime(InferenceConfig()).load(ModelFolder(folder), "layer", SHAPES)


def test_a_model_that_nobody_listed_is_not_loaded(tmp_path: Path) -> None:
    """A file beside the listed ones is not a model of this aircraft, however good it is."""
    folder = folder_of(tmp_path / "models", {"layer.onnx": layer(WEIGHTS)})
    (folder / "other.onnx").write_bytes(layer(WEIGHTS))
    with pytest.raises(ManifestError, match=r"'other.onnx' is not in the manifest, which names layer.onnx"):
        OnnxRuntime(InferenceConfig()).load(ModelFolder(folder), "other", SHAPES)


@pytest.mark.parametrize("data", [b"", b"no model", layer(WEIGHTS)[:-20], layer(WEIGHTS, "NoSuchOperator")])
def test_listed_rubbish_is_a_sentence(tmp_path: Path, data: bytes) -> None:
    """A listed file that is no model, is torn, or needs what the runtime lacks is named, without a traceback."""
    folder = folder_of(tmp_path / "models", {"layer.onnx": data})
    with pytest.raises(UserError, match=r"model 'layer' cannot be loaded: .*Provision it again"):
        OnnxRuntime(InferenceConfig()).load(ModelFolder(folder), "layer", SHAPES)


def test_a_model_of_another_strategy(models: ModelFolder) -> None:
    """A model whose inputs are not the wanted ones is refused when it is loaded, not in flight."""
    with pytest.raises(UserError, match="has inputs x, wanted are images"):
        OnnxRuntime(InferenceConfig()).load(models, "layer", {"images": (1, 1, 8, 8)})


def test_no_manifest_no_models(tmp_path: Path) -> None:
    """A folder without a manifest holds no models, and the sentence says what to do."""
    with pytest.raises(UserError, match=r"no manifest of the models at .*gps-denied-onboard"):
        ModelFolder(tmp_path)
    folder = folder_of(tmp_path / "models", {"layer.onnx": layer(WEIGHTS)})
    (folder / "layer.onnx").unlink()
    with pytest.raises(UserError, match=r"layer.onnx cannot be read: .*; copy it on board again"):
        ModelFolder(folder).read("layer.onnx")


def test_threads_do_not_change_the_numbers(models: ModelFolder) -> None:
    """One thread and two agree to 1e-6: the stated tolerance of numerical paths on one kind of processor."""
    x = np.random.default_rng(6).normal(size=(2, 5)).astype(np.float32)
    one, two = (
        OnnxRuntime(InferenceConfig(threads=n)).load(models, "layer", SHAPES).infer({"x": x})["y"] for n in (1, 2)
    )
    np.testing.assert_allclose(one, two, rtol=0.0, atol=1e-6)
