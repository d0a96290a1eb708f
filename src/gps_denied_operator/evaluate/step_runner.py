"""Where the steps of an evaluation run: in processes here, or on the workers of a Dask cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gps_denied_operator.evaluate.processes import Processes, Steps, Tell


def step_runner(workers: int, address: str, folder: Path, tell: Tell) -> Steps[Any]:
    """A context manager that runs steps: on `workers` processes, or on the scheduler at `address` where one is given,
    whose workers see `folder`. UserError as ClusterSteps."""
    if not address:
        return Processes(workers, tell)
    from gps_denied_operator.evaluate.cluster_steps import ClusterSteps

    return ClusterSteps(address, folder, tell)
