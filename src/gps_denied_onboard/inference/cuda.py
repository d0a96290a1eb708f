"""The few calls of the CUDA runtime that TensorRT needs, by ctypes: JetPack brings the library, no Python package."""

from __future__ import annotations

import contextlib
import ctypes
import ctypes.util
from typing import Any

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.inference import Array

LIBRARIES = ("libcudart.so", "libcudart.so.12", "libcudart.so.13")
HOST_TO_DEVICE, DEVICE_TO_HOST = 1, 2
COMPUTE_MAJOR, COMPUTE_MINOR = 75, 76


class CudaError(RuntimeError):
    """A call of the CUDA runtime failed."""


class Cuda:
    """Memory, copies and one stream on the first device. UserError where there is no CUDA runtime."""

    def __init__(self) -> None:
        self._library: Any = _open()
        self._stream = ctypes.c_void_p()
        self._call("cudaSetDevice", ctypes.c_int(0))
        self._call("cudaStreamCreate", ctypes.byref(self._stream))

    @property
    def stream(self) -> int:
        """The stream's handle."""
        return self._stream.value or 0

    def compute_capability(self) -> int:
        """87 for 8.7."""
        parts = []
        for attribute in (COMPUTE_MAJOR, COMPUTE_MINOR):
            value = ctypes.c_int()
            self._call("cudaDeviceGetAttribute", ctypes.byref(value), ctypes.c_int(attribute), ctypes.c_int(0))
            parts.append(value.value)
        return 10 * parts[0] + parts[1]

    def allocate(self, size_bytes: int) -> int:
        """Address of device memory."""
        address = ctypes.c_void_p()
        self._call("cudaMalloc", ctypes.byref(address), ctypes.c_size_t(max(size_bytes, 1)))
        assert address.value is not None
        return address.value

    def free(self, address: int) -> None:
        """Give device memory back."""
        self._call("cudaFree", ctypes.c_void_p(address))

    def to_device(self, address: int, array: Array) -> None:
        """Queue a copy of a C-contiguous array; the array must stay until `synchronise`."""
        self._copy(ctypes.c_void_p(address), ctypes.c_void_p(array.ctypes.data), array.nbytes, HOST_TO_DEVICE)

    def from_device(self, array: Array, address: int) -> None:
        """Queue a copy into a C-contiguous array; it holds the data after `synchronise`."""
        self._copy(ctypes.c_void_p(array.ctypes.data), ctypes.c_void_p(address), array.nbytes, DEVICE_TO_HOST)

    def synchronise(self) -> None:
        """Wait for what was queued."""
        self._call("cudaStreamSynchronize", self._stream)

    def close(self) -> None:
        """Destroy the stream."""
        if self._stream.value is not None:
            self._call("cudaStreamDestroy", self._stream)
            self._stream = ctypes.c_void_p()

    def _copy(self, target: Any, source: Any, size_bytes: int, kind: int) -> None:
        size = ctypes.c_size_t(size_bytes)
        self._call("cudaMemcpyAsync", target, source, size, ctypes.c_int(kind), self._stream)

    def _call(self, name: str, *arguments: Any) -> None:
        code = getattr(self._library, name)(*arguments)
        if code:
            text = self._library.cudaGetErrorString
            text.restype = ctypes.c_char_p
            raise CudaError(f"{name}: {text(ctypes.c_int(code)).decode()} ({code})")


def _open() -> Any:
    found = ctypes.util.find_library("cudart")
    for name in (*LIBRARIES, *([found] if found else [])):
        with contextlib.suppress(OSError):
            return ctypes.CDLL(name)
    raise UserError(
        "no CUDA runtime (libcudart) on this machine; install JetPack's, or set strategies.inference to 'onnxruntime'."
    )
