"""Going on after a restart in the air: from the last position, as far off as the aircraft can have flown since."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from gps_denied_onboard.live.flight_recording import AirborneCheck
from gps_denied_onboard.messages import AirspeedSample, BaroSample, ImuSample, Telemetry
from gps_denied_onboard.recorder.config import RecorderConfig
from gps_denied_onboard.recorder.flight import boot_id, open_flight
from gps_denied_onboard.recorder.resume import Resumable, find_resumable, resumed_origin

from .flights import ABOARD, META, SECOND_NS, navstate

UTC_NS = 1_790_000_000 * SECOND_NS
BEGAN_NS = 1000 * SECOND_NS


def fly(root: Path, *, clean: bool | None, last_s: int = 60, utc_ns: int = UTC_NS) -> None:
    """Record a minute of positions; `clean` None: the power is cut."""
    now = {"t": BEGAN_NS}
    flight = open_flight(
        RecorderConfig(directory=str(root)),
        META,
        ABOARD,
        clock_ns=lambda: now["t"],
        utc_ns=lambda: utc_ns + now["t"] - BEGAN_NS,
    )
    client = flight.client("flight")
    for second in range(last_s + 1):
        now["t"] = BEGAN_NS + second * SECOND_NS
        client.record(navstate(now["t"], 48.0 + second * 1e-4))
    flight.close(flight.flight_id, clean=bool(clean))
    if clean is None:  # what a cut leaves: no footer, no summary
        (segment,) = flight.folder.glob("*.mcap")
        data = segment.read_bytes()
        segment.write_bytes(data[: len(data) // 2 if last_s == 0 else data.rindex(b"gps_denied.signature") - 13])


def found(root: Path, later_s: float, boot: str = "") -> Resumable | None:
    now_ns = BEGAN_NS + round((60 + later_s) * 1e9)
    utc_ns = UTC_NS + round((60 + later_s) * 1e9)
    return find_resumable(root, RecorderConfig(), now_ns if boot else 5, utc_ns, boot or "another boot")


@pytest.mark.parametrize("clean", [None, False])
def test_a_flight_that_broke_off_is_gone_on_with(tmp_path: Path, clean: bool | None) -> None:
    """After a power cut and after an error alike the last position is found, with its age."""
    fly(tmp_path, clean=clean)
    resumed = found(tmp_path, 25.0)
    assert resumed is not None
    assert resumed.state.latitude_deg == pytest.approx(48.006)
    assert resumed.age_s == pytest.approx(25.0)


def test_what_is_not_gone_on_with(tmp_path: Path) -> None:
    """A clean end, an old flight, a clock that went back, and no flight at all."""
    assert found(tmp_path / "none", 5.0) is None
    fly(tmp_path / "clean", clean=True)
    assert found(tmp_path / "clean", 25.0) is None
    fly(tmp_path / "cut", clean=None)
    assert found(tmp_path / "cut", 700.0) is None
    assert found(tmp_path / "cut", -100.0) is None


def test_a_restart_in_the_same_boot_knows_the_age(tmp_path: Path) -> None:
    """The monotonic clock goes on, so a second is a second; after a reboot no less than a reboot takes is assumed."""
    fly(tmp_path, clean=None)
    same, other = found(tmp_path, 2.0, boot_id()), found(tmp_path, 2.0)
    assert same is not None
    assert other is not None
    assert same.age_s == pytest.approx(2.0)
    assert other.age_s == 15.0


def test_the_origin_is_as_unsure_as_the_age_makes_it(tmp_path: Path) -> None:
    """Where the aircraft can have flown since lies within two sigma."""
    fly(tmp_path, clean=None)
    resumed = found(tmp_path, 25.0)
    assert resumed is not None
    origin = resumed_origin(resumed, 7, RecorderConfig())
    assert origin.t_ns == 7
    assert origin.velocity_ned_mps is None
    assert origin.sigma_horizontal_m == pytest.approx(625.0, rel=0.01)
    older = resumed_origin(dataclasses.replace(resumed, age_s=50.0), 7, RecorderConfig())
    assert older.sigma_horizontal_m > 1.9 * origin.sigma_horizontal_m


@pytest.mark.parametrize(
    ("samples", "verdict"),
    [
        ([ImuSample(0, (0.0,) * 3, (0.0,) * 3), AirspeedSample(1, 17.0)], True),
        ([BaroSample(0, 400.0)], True),
        ([AirspeedSample(0, 2.0), BaroSample(1, 101.0), BaroSample(2 * SECOND_NS, 101.0)], False),
        ([AirspeedSample(0, 2.0), BaroSample(1, 101.0)], None),
    ],
)
def test_only_in_the_air(samples: list[Telemetry], verdict: bool | None) -> None:
    """An aircraft that stands on the ground after its power was cut starts from where it is."""
    check = AirborneCheck(100.0, 5.0)
    assert [check.add(sample) for sample in samples][-1] is verdict
