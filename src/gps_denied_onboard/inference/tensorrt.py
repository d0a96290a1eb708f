"""`tensorrt`: engines compiled on this host, loaded by manifest and by name. Linked only where TensorRT is installed.

TensorRT comes with JetPack, not from a package index: the module is looked up at run time.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from gps_denied_onboard.atomic_file import replace_whole
from gps_denied_onboard.errors import UserError
from gps_denied_onboard.inference import Array, InputArray, check_shapes, zeros
from gps_denied_onboard.inference.config import InferenceConfig
from gps_denied_onboard.inference.cuda import Cuda
from gps_denied_onboard.inference.engine_files import EngineFile, Host, engine_for, jetpack_of
from gps_denied_onboard.inference.models import ModelFolder
from gps_denied_onboard.messages import InferenceRecord

RELEASE_FILE = Path("/etc/nv_tegra_release")


class TensorRtRuntime:
    """Compiles ONNX models to engines of this host, and loads such engines. See `Runtime`."""

    def __init__(self, config: InferenceConfig) -> None:
        self._config = config
        self._trt: Any = importlib.import_module("tensorrt")
        self._logger = self._trt.Logger(self._trt.Logger.ERROR)

    def host(self) -> Host:
        """What engines of this machine are named by."""
        release = RELEASE_FILE.read_text(encoding="utf-8") if RELEASE_FILE.is_file() else ""
        cuda = Cuda()
        try:
            version = ".".join(self._trt.__version__.split(".")[:2])
            return Host(cuda.compute_capability(), jetpack_of(release), version)
        finally:
            cuda.close()

    def load(self, models: ModelFolder, model: str, shapes: Mapping[str, tuple[int, ...]]) -> TensorRtEngine:
        """The engine of `model` that was compiled on a host like this one."""
        file = engine_for(model, self.host(), self._config.precision, list(models.manifest.artefacts))
        runtime = self._trt.Runtime(self._logger)
        engine = runtime.deserialize_cuda_engine(models.read(file.name))
        if engine is None:
            raise UserError(
                f"TensorRT cannot use {file.name}; compile it again with `gps-denied-onboard models compile`."
            )
        label = InferenceRecord(0, model, "tensorrt", f"TensorRT {file.precision}", False, "")
        loaded = TensorRtEngine(self._trt, engine, label, shapes)
        loaded.infer(zeros(shapes))
        return loaded

    def compile(self, models: ModelFolder, model: str, shapes: Mapping[str, tuple[int, ...]], directory: Path) -> Path:
        """Build the engine of `<model>.onnx` for these input shapes into `directory`; takes minutes on a Jetson."""
        trt = self._trt
        builder = trt.Builder(self._logger)
        network = builder.create_network(0)
        parser = trt.OnnxParser(network, self._logger)
        if not parser.parse(models.read_onnx(model)):
            why = parser.get_error(0).desc() if parser.num_errors else "no reason given"
            raise UserError(f"TensorRT cannot read {model}.onnx: {why}. Use strategies.inference 'onnxruntime'.")
        config = builder.create_builder_config()
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, self._config.workspace_bytes)
        if self._config.precision == "fp16":
            config.set_flag(trt.BuilderFlag.FP16)
        profile = builder.create_optimization_profile()
        for name, shape in shapes.items():
            profile.set_shape(name, shape, shape, shape)
        config.add_optimization_profile(profile)
        plan = builder.build_serialized_network(network, config)
        if plan is None:
            raise UserError(
                f"TensorRT could not build {model} within {self._config.workspace_bytes} bytes of workspace."
            )
        target = directory / EngineFile(model, self.host(), self._config.precision).name
        replace_whole(target, bytes(plan))
        return target


class TensorRtEngine:
    """An engine with its memory on the device. See `Engine`."""

    def __init__(self, trt: Any, engine: Any, label: InferenceRecord, shapes: Mapping[str, tuple[int, ...]]) -> None:
        self.label = label
        self._shapes = dict(shapes)
        self._cuda = Cuda()
        self._context = engine.create_execution_context()
        self._engine = engine
        self._inputs: dict[str, int] = {}
        self._allocators: dict[str, Any] = {}
        self._types: dict[str, Any] = {}
        for k in range(engine.num_io_tensors):
            name = engine.get_tensor_name(k)
            if engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT:
                self._add_input(name)
            else:
                self._types[name] = trt.nptype(engine.get_tensor_dtype(name))
                self._allocators[name] = _allocator(trt, self._cuda)
                self._context.set_output_allocator(name, self._allocators[name])
        if set(self._inputs) != set(self._shapes):
            raise UserError(
                f"engine of '{label.model}' has inputs {', '.join(sorted(self._inputs))}, wanted are "
                f"{', '.join(sorted(self._shapes))}; compile it again."
            )

    def infer(self, inputs: Mapping[str, InputArray]) -> dict[str, Array]:
        """Outputs by name."""
        check_shapes(self.label, self._shapes, inputs)
        if self._context is None:
            raise ValueError(f"model '{self.label.model}' was released")
        held = {name: np.ascontiguousarray(array, np.float32) for name, array in inputs.items()}
        for name, array in held.items():
            self._cuda.to_device(self._inputs[name], array)
        if not self._context.execute_async_v3(self._cuda.stream):
            raise RuntimeError(f"TensorRT could not run '{self.label.model}'")
        self._cuda.synchronise()  # shapes that depend on the data are known from here on
        out: dict[str, Array] = {}
        for name, allocator in self._allocators.items():
            out[name] = np.empty(allocator.shape, self._types[name])
            if out[name].size:
                self._cuda.from_device(out[name], allocator.address)
        self._cuda.synchronise()
        return out

    def release(self) -> None:
        """Free the device's memory."""
        if self._context is None:
            return
        self._context = self._engine = None
        for address in (*self._inputs.values(), *(a.address for a in self._allocators.values() if a.address)):
            self._cuda.free(address)
        self._cuda.close()

    def _add_input(self, name: str) -> None:
        shape = self._shapes.get(name, (1,))
        self._inputs[name] = self._cuda.allocate(4 * int(np.prod(shape)))
        if name in self._shapes:
            if not self._context.set_input_shape(name, shape):
                raise UserError(
                    f"engine of '{self.label.model}' was compiled for another size of '{name}' than {shape}; compile "
                    "it again for this configuration."
                )
            self._context.set_tensor_address(name, self._inputs[name])


def _allocator(trt: Any, cuda: Cuda) -> Any:
    """Memory of one output, as large as TensorRT has asked for so far, and the output's last shape."""

    class OutputMemory(trt.IOutputAllocator):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.IOutputAllocator.__init__(self)
            self.address, self.size_bytes, self.shape = 0, 0, ()

        def reallocate_output(self, _name: str, _memory: int, size_bytes: int, _alignment: int) -> int:
            if size_bytes > self.size_bytes or not self.address:
                if self.address:
                    cuda.free(self.address)
                self.address, self.size_bytes = cuda.allocate(size_bytes), size_bytes
            return self.address

        def reallocate_output_async(self, name: str, memory: int, size_bytes: int, alignment: int, _stream: int) -> int:
            return self.reallocate_output(name, memory, size_bytes, alignment)

        def notify_shape(self, _name: str, shape: Any) -> None:
            self.shape = tuple(shape)

    return OutputMemory()
