"""Models on whatever this machine computes with: one surface, several runtimes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from gps_denied_onboard.inference.models import ModelFolder
from gps_denied_onboard.messages import InferenceRecord

Array = npt.NDArray[Any]
InputArray = npt.NDArray[np.float32]


class Engine(Protocol):
    """A loaded model with inputs of fixed shapes, warmed up. For one thread at a time. `label` says on what it runs."""

    label: InferenceRecord

    def infer(self, inputs: Mapping[str, InputArray]) -> dict[str, Array]:
        """Outputs by name. ValueError for an input of another name or shape than it was loaded for."""

    def release(self) -> None:
        """Give its memory back; it cannot be used any more. A second call does nothing."""


class Runtime(Protocol):
    """What turns a model of the manifest into an engine."""

    def load(self, models: ModelFolder, model: str, shapes: Mapping[str, tuple[int, ...]]) -> Engine:
        """The engine of `model` for inputs of these shapes. UserError where manifest or host do not allow it."""


def check_shapes(
    label: InferenceRecord, shapes: Mapping[str, tuple[int, ...]], inputs: Mapping[str, InputArray]
) -> None:
    """ValueError unless `inputs` are those that the engine was loaded for."""
    given = {name: array.shape for name, array in inputs.items()}
    if given != dict(shapes):
        raise ValueError(f"model '{label.model}' was loaded for inputs {dict(shapes)}, got {given}")


def zeros(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, InputArray]:
    """Inputs for the warm-up."""
    return {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
