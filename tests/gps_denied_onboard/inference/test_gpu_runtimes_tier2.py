"""Runtimes on a GPU. Tier 2: needs a Jetson with JetPack 6 (TensorRT and libcudart), or any machine with both."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.inference.config import InferenceConfig
from gps_denied_onboard.inference.models import ModelFolder
from gps_denied_onboard.inference.onnxruntime import OnnxRuntime
from gps_denied_onboard.provisioning.model_folder import write_manifest

from .small_models import folder_of, layer

WEIGHTS = np.random.default_rng(4).normal(size=(64, 32)).astype(np.float32)
SHAPES = {"x": (8, 64)}
TOLERANCE = {"fp32": 1e-4, "fp16": 2e-2}
"""Largest difference from the CPU, for outputs of about 10."""


@pytest.mark.tier2
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_tensorrt_agrees_with_the_cpu(tmp_path: Path, precision: str) -> None:
    """An engine compiled here, loaded by its name and manifest, gives the CPU's numbers within the tolerance."""
    pytest.importorskip("tensorrt", reason="needs NVIDIA's TensorRT with its Python module, as JetPack installs it")
    from gps_denied_onboard.inference.tensorrt import TensorRtRuntime

    folder = folder_of(tmp_path / "models", {"layer.onnx": layer(WEIGHTS)})
    runtime = TensorRtRuntime(InferenceConfig(precision=precision))
    runtime.compile(ModelFolder(folder), "layer", SHAPES, folder)
    write_manifest(folder, None)
    models = ModelFolder(folder)
    engine, reference = (
        runtime.load(models, "layer", SHAPES),
        OnnxRuntime(InferenceConfig()).load(models, "layer", SHAPES),
    )
    x = np.random.default_rng(5).normal(size=(8, 64)).astype(np.float32)
    for _ in range(3):
        np.testing.assert_allclose(
            engine.infer({"x": x})["y"], reference.infer({"x": x})["y"], rtol=0.0, atol=10.0 * TOLERANCE[precision]
        )
    engine.release()
    engine.release()
    with pytest.raises(UserError, match="compiled for another size"):
        runtime.load(models, "layer", {"x": (4, 64)})


@pytest.mark.tier2
def test_onnxruntime_keeps_to_the_gpu_when_told(tmp_path: Path) -> None:
    """With disallow_cpu_fallback a machine with a GPU build of onnxruntime loads the model on the GPU alone."""
    onnxruntime = pytest.importorskip("onnxruntime")
    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        pytest.skip("needs NVIDIA's build of onnxruntime (CUDAExecutionProvider), as made for JetPack 6")
    models = ModelFolder(folder_of(tmp_path / "models", {"layer.onnx": layer(WEIGHTS)}))
    engine = OnnxRuntime(InferenceConfig(disallow_cpu_fallback=True)).load(models, "layer", SHAPES)
    assert engine.label.provider != "CPUExecutionProvider"
    x = np.ones((8, 64), np.float32)
    np.testing.assert_allclose(engine.infer({"x": x})["y"], np.maximum(x @ WEIGHTS, 0.0), rtol=1e-2, atol=1e-2)
