"""`onnxruntime`: TensorRT, CUDA or CPU through ONNX Runtime, the first of them that works, and never silently."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.inference import Array, InputArray, check_shapes, zeros
from gps_denied_onboard.inference.config import InferenceConfig
from gps_denied_onboard.inference.models import ModelFolder
from gps_denied_onboard.messages import InferenceRecord

TENSORRT = "TensorrtExecutionProvider"
CUDA = "CUDAExecutionProvider"
CPU = "CPUExecutionProvider"
PROVIDERS = (TENSORRT, CUDA, CPU)
QUIET = 3  # ONNX Runtime's own log: errors only; what it falls back to is told by the label


class OnnxRuntime:
    """Loads ONNX models. See `Runtime`."""

    def __init__(self, config: InferenceConfig) -> None:
        self._config = config

    def load(self, models: ModelFolder, model: str, shapes: Mapping[str, tuple[int, ...]]) -> OnnxEngine:
        """The model `<model>.onnx`, on the first provider that takes it."""
        data = models.read_onnx(model)
        session, provider, why_not = self._open(model, data)
        fallback = provider != PROVIDERS[0]
        label = InferenceRecord(0, model, "onnxruntime", provider, fallback, "; ".join(why_not))
        expected = {i.name for i in session.get_inputs()}
        if expected != set(shapes):
            raise UserError(
                f"model '{model}' has inputs {', '.join(sorted(expected))}, wanted are {', '.join(sorted(shapes))}; "
                "provision the model that this strategy is made for."
            )
        engine = OnnxEngine(label, session, shapes)
        engine.infer(zeros(shapes))
        return engine

    def _open(self, model: str, data: bytes) -> tuple[Any, str, list[str]]:
        """(session, its provider, why the better ones are not used)."""
        import onnxruntime

        there = onnxruntime.get_available_providers()
        why_not: list[str] = []
        for number, provider in enumerate(PROVIDERS):
            if provider == CPU and self._config.disallow_cpu_fallback:
                break
            if provider not in there:
                why_not.append(f"{provider}: not in this onnxruntime")
                continue
            try:
                session = self._session(data, PROVIDERS[number:] if provider != CPU else (CPU,))
            except Exception as error:  # ONNX Runtime raises a type of its own for each way to fail
                if provider == CPU:
                    raise UserError(f"model '{model}' cannot be loaded: {error}. Provision it again.") from error
                why_not.append(f"{provider}: {str(error).splitlines()[0][:200]}")
                continue
            if session.get_providers()[0] == provider:
                return session, provider, why_not
            why_not.append(f"{provider}: its libraries do not load")
        raise UserError(
            f"model '{model}' would run on the CPU, which inference.disallow_cpu_fallback forbids "
            f"({'; '.join(why_not)}). Install the GPU's libraries, or allow the fallback."
        )

    def _session(self, data: bytes, providers: Sequence[str]) -> Any:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self._config.threads
        options.inter_op_num_threads = 1
        options.log_severity_level = QUIET
        if self._config.disallow_cpu_fallback:
            options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
            providers = [p for p in providers if p != CPU]
        settings = {TENSORRT: {"trt_max_workspace_size": str(self._config.workspace_bytes)}}
        there = onnxruntime.get_available_providers()
        chosen = [(p, settings.get(p, {})) for p in providers if p in there]
        # Its own fallback prints and goes on; ours is the loop in `_open`, which can be told of.
        session = onnxruntime.InferenceSession(data, options, providers=chosen, enable_fallback=0)
        session.disable_fallback()
        return session


class OnnxEngine:
    """A session. See `Engine`."""

    def __init__(self, label: InferenceRecord, session: Any, shapes: Mapping[str, tuple[int, ...]]) -> None:
        self.label = label
        self._session = session
        self._shapes = dict(shapes)
        self._names = [o.name for o in session.get_outputs()]

    def infer(self, inputs: Mapping[str, InputArray]) -> dict[str, Array]:
        """Outputs by name."""
        check_shapes(self.label, self._shapes, inputs)
        if self._session is None:
            raise ValueError(f"model '{self.label.model}' was released")
        return dict(zip(self._names, self._session.run(self._names, dict(inputs)), strict=True))

    def release(self) -> None:
        """Drop the session."""
        self._session = None
