"""How late a receiver is comes out of its own log, and where nothing tells it nothing is told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from gps_denied_onboard.messages import AttitudeSample, GpsSample, ImuSample, Telemetry
from gps_denied_operator.logs.importer import truth_of
from gps_denied_operator.logs.open_log import open_log
from gps_denied_operator.logs.receiver_delay import receiver_delay
from tests.gps_denied_operator.logs.log_files import Messages, flight, write

MINUTES = 2.0


def late(messages: Messages, by_s: float) -> Messages:
    """The flight with a receiver whose samples come so much later."""
    by_ns = round(by_s * 1e9)
    moved: list[Telemetry] = [replace(m, t_ns=m.t_ns + by_ns) if isinstance(m, GpsSample) else m for m in messages]
    return sorted(moved, key=lambda m: m.t_ns)


@pytest.mark.parametrize(
    ("seed", "suffix"),
    [(3, ".bin"), (4, ".ulg"), *(pytest.param(*other, marks=pytest.mark.slow) for other in ((3, ".ulg"), (4, ".bin")))],
)
def test_a_late_receiver_is_found_late(seed: int, suffix: str, tmp_path: Path) -> None:
    """A delay of 0.24 s more is found as that, within three sigmas, which are small."""
    plain = receiver_delay(open_log(write(tmp_path, suffix, flight(seed, MINUTES))))
    found = receiver_delay(open_log(write(tmp_path, suffix, late(flight(seed, MINUTES), 0.24))))
    assert plain is not None
    assert found is not None
    assert found.sigma_s < 0.05
    assert abs(found.delay_s - plain.delay_s - 0.24) < max(3.0 * found.sigma_s, 0.03)


def test_the_truth_is_set_back(tmp_path: Path) -> None:
    """A place of the truth is that of the moment, not of the sample's arrival."""
    log = open_log(write(tmp_path, ".bin", flight(3, 0.5)))
    first, second = truth_of(log)[5], truth_of(log, 0.2)[5]
    assert any(t.latitude_deg == first.latitude_deg and first.t_ns - t.t_ns == 200_000_000 for t in truth_of(log, 0.2))
    assert second.t_ns >= 0


@pytest.mark.parametrize("without", [ImuSample, AttitudeSample])
def test_without_inertial_data_nothing_is_told(without: type[Telemetry], tmp_path: Path) -> None:
    """No IMU or no attitude: no delay."""
    log = open_log(write(tmp_path, ".ulg", [m for m in flight(3, MINUTES) if not isinstance(m, without)]))
    assert receiver_delay(log) is None
