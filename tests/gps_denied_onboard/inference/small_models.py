"""Small ONNX models, written by hand: a handful of protobuf fields, so that no library is needed to make them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from gps_denied_onboard.provisioning.manifest import MANIFEST_FILE, artefact_of, manifest_bytes

FLOAT = 1
OPSET, IR_VERSION = 17, 8


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def field(number: int, value: int | str | bytes) -> bytes:
    """One protobuf field: a varint, or a length and the bytes."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def value_info(name: str, shape: tuple[int | str, ...]) -> bytes:
    dims = b"".join(field(1, field(1, d) if isinstance(d, int) else field(2, d)) for d in shape)
    return field(1, name) + field(2, field(1, field(1, FLOAT) + field(2, dims)))


def layer(weights: npt.NDArray[np.float32], op: str = "MatMul") -> bytes:
    """A model y = max(x @ weights, 0) for x of shape (n, rows); `op` replaces the product."""
    product = field(1, "x") + field(1, "w") + field(2, "p") + field(4, op)
    relu = field(1, "p") + field(2, "y") + field(4, "Relu")
    dims = b"".join(field(1, d) for d in weights.shape)
    initializer = dims + field(2, FLOAT) + field(8, "w") + field(9, weights.astype("<f4").tobytes())
    rows, columns = weights.shape
    graph = field(1, product) + field(1, relu) + field(2, "layer") + field(5, initializer)
    graph += field(11, value_info("x", ("n", rows))) + field(12, value_info("y", ("n", columns)))
    return field(1, IR_VERSION) + field(7, graph) + field(8, field(1, "") + field(2, OPSET))


def folder_of(directory: Path, files: dict[str, bytes]) -> Path:
    """A folder of these files with its manifest."""
    directory.mkdir(exist_ok=True)
    for name, data in files.items():
        (directory / name).write_bytes(data)
    (directory / MANIFEST_FILE).write_bytes(manifest_bytes(artefact_of(n, d) for n, d in files.items()))
    return directory
