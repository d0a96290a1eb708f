"""Configuration of the inference."""

from __future__ import annotations

from dataclasses import dataclass

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.inference.engine_files import PRECISIONS


@dataclass(frozen=True, slots=True)
class InferenceConfig:
    """`models_directory` holds the models; `manifest` empty: its manifest.json, whose SHA-256 in hex must be
    `manifest_sha256` where that is given (a provisioned cache gives it). A quarter of `gpu_memory_mb` may be
    TensorRT's workspace; `precision` (fp32 or fp16) is of its engines. `disallow_cpu_fallback`: refuse to start rather
    than compute on the CPU."""

    models_directory: str = ""
    manifest: str = ""
    manifest_sha256: str = ""
    threads: int = 1
    precision: str = "fp16"
    gpu_memory_mb: int = 4096
    disallow_cpu_fallback: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.threads <= 64:
            raise UserError(f"inference.threads must be 1 to 64, got {self.threads}.")
        if self.precision not in PRECISIONS:
            raise UserError(f"inference.precision must be {' or '.join(PRECISIONS)}, got '{self.precision}'.")
        if not 64 <= self.gpu_memory_mb <= 1_000_000:
            raise UserError(f"inference.gpu_memory_mb must be 64 to 1000000, got {self.gpu_memory_mb}.")

    @property
    def workspace_bytes(self) -> int:
        """TensorRT's share of the GPU budget."""
        return self.gpu_memory_mb * 1024 * 1024 // 4
