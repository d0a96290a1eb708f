"""ONNX models that name other files for their weights: refused, since only the model's own bytes were verified.

ONNX Runtime reads `external_data` from wherever it points. The fields that lead to a tensor are looked at with
protobuf's own reader, by the numbers of onnx.proto3 (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto3).
"""

from __future__ import annotations

import functools
from typing import Any

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.untrusted.text import shown

EXTERNAL = 1
"""TensorProto.DataLocation."""
_MESSAGES: dict[str, dict[str, tuple[int, str, bool]]] = {
    "Model": {
        "graph": (7, "Graph", False), "training_info": (20, "Training", True), "functions": (25, "Function", True),
    },
    "Training": {"initialization": (1, "Graph", False), "algorithm": (2, "Graph", False)},
    "Function": {"node": (7, "Node", True), "attribute_proto": (11, "Attribute", True)},
    "Graph": {
        "node": (1, "Node", True), "initializer": (5, "Tensor", True), "sparse_initializer": (15, "Sparse", True),
    },
    "Node": {"attribute": (5, "Attribute", True)},
    "Attribute": {
        "t": (5, "Tensor", False), "g": (6, "Graph", False), "sparse_tensor": (22, "Sparse", False),
        "tensors": (10, "Tensor", True), "graphs": (11, "Graph", True), "sparse_tensors": (23, "Sparse", True),
    },
    "Sparse": {"values": (1, "Tensor", False), "indices": (2, "Tensor", False)},
    "Tensor": {"external_data": (13, "Entry", True)},
    "Entry": {},
}  # fmt: skip
"""Message: field: (number, message of the field, repeated)."""


@functools.cache
def _model_class() -> Any:
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    file = descriptor_pb2.FileDescriptorProto(name="gps_denied_onnx.proto", package="gps_denied_onnx", syntax="proto3")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, (number, kind, repeated) in fields.items():
            label = descriptor_pb2.FieldDescriptorProto.LABEL_REPEATED
            once = descriptor_pb2.FieldDescriptorProto.LABEL_OPTIONAL
            message.field.add(
                name=field, number=number, type=descriptor_pb2.FieldDescriptorProto.TYPE_MESSAGE,
                type_name=f".gps_denied_onnx.{kind}", label=label if repeated else once,
            )  # fmt: skip
        if name == "Tensor":
            message.field.add(
                name="data_location", number=14, type=descriptor_pb2.FieldDescriptorProto.TYPE_INT32,
                label=descriptor_pb2.FieldDescriptorProto.LABEL_OPTIONAL,
            )  # fmt: skip
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("gps_denied_onnx.Model"))


def refuse_external_data(name: str, data: bytes) -> None:
    """UserError where an ONNX model, anywhere in it, takes a tensor from another file, or is no protobuf at all."""
    from google.protobuf.message import DecodeError

    try:
        model = _model_class().FromString(data)
    except DecodeError as error:
        why = f"it is no ONNX file ({shown(error)})"
        raise UserError(f"model '{shown(name)}' cannot be loaded: {why}. Provision it again.") from None
    if _has_external(model):
        raise UserError(
            f"model '{shown(name)}' takes weights from other files, which nobody has verified: save it as one file "
            "(onnx.save_model with save_as_external_data=False) and make its manifest again."
        )


def _has_external(message: Any) -> bool:
    waiting = [message]
    while waiting:
        part = waiting.pop()
        if part.DESCRIPTOR.name == "Tensor":
            if part.external_data or part.data_location == EXTERNAL:
                return True
            continue
        for field, value in part.ListFields():
            waiting.extend(value if _MESSAGES[part.DESCRIPTOR.name][field.name][2] else [value])
    return False
