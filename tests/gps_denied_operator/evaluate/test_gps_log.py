"""The GPS monitor over logs: quiet on a good receiver, and a verdict with its reason on each kind of bad one."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from gps_denied_onboard.messages import BaroSample, GpsHealth, GpsSample, ImuSample, Telemetry
from gps_denied_operator.cli import app
from gps_denied_operator.evaluate.gps_log import GpsLogResult, watch_log
from gps_denied_operator.evaluate.gps_page import gps_page, results_of
from gps_denied_operator.logs.open_log import open_log
from tests.gps_denied_operator.logs.log_files import Messages, flight, forged, moved, write

SINCE_S = 80.0
MINUTES = 2.0


def watched(messages: Messages, folder: Path, suffix: str = ".ulg") -> GpsLogResult:
    """The monitor's result over a log file of these messages."""
    return watch_log(open_log(write(folder, suffix, messages)))


def first_bad(result: GpsLogResult) -> tuple[GpsHealth, str, float]:
    """The first accusation: verdict, reason, seconds."""
    bad = [c for c in result.verdicts if c.verdict in (GpsHealth.SPOOFED, GpsHealth.DEGRADED)]
    assert bad, result.verdicts
    return bad[0].verdict, bad[0].reason, bad[0].t_s


def faster(sample: GpsSample, north_mps: float) -> GpsSample:
    """A claim of another velocity."""
    north, east, down = sample.velocity_ned_mps
    return replace(sample, velocity_ned_mps=(north + north_mps, east, down))


@pytest.mark.slow
@pytest.mark.parametrize("seed", [3, 4, 5])
def test_a_good_receiver_raises_no_alarm(seed: int, tmp_path: Path) -> None:
    """Four minutes of a good receiver are watched and nothing is said of it."""
    result = watched(flight(seed), tmp_path)
    assert result.alarms == 0
    assert result.spoofed_s == result.degraded_s == 0.0
    assert result.watched_s > 200.0
    assert result.slowest_drift_mps is not None
    assert 5.0 < result.slowest_drift_mps < 10.0
    assert any(c.verdict is GpsHealth.STABLE_NON_SPOOFED for c in result.verdicts)


CASES: dict[str, tuple[Callable[[GpsSample, float], GpsSample | None], GpsHealth, str, float]] = {
    "jump": (lambda s, _: moved(s, 120.0, 0.0), GpsHealth.SPOOFED, "jump", 1.0),
    "position runs, velocity true": (lambda s, t: moved(s, 4.0 * t, 0.0), GpsHealth.SPOOFED, "creep", 6.0),
    "drawn away fast": (lambda s, t: faster(moved(s, 12.0 * t, 0.0), 12.0), GpsHealth.SPOOFED, "velocity", 5.0),
    "velocity wrong": (lambda s, _: faster(s, 6.0), GpsHealth.SPOOFED, "creep", 4.0),
    "fix lost": (lambda s, _: replace(s, fix_type=1, satellites=0), GpsHealth.DEGRADED, "no fix", 1.0),
    "silent": (lambda _s, _t: None, GpsHealth.DEGRADED, "silent", 2.0),
    "satellites gone": (lambda s, _: replace(s, satellites=4), GpsHealth.DEGRADED, "few satellites", 1.0),
    "geometry lost": (lambda s, _: replace(s, horizontal_accuracy_m=24.0), GpsHealth.DEGRADED, "poor accuracy", 1.0),
    "time jumps": (lambda s, _: replace(s, utc_ns=s.utc_ns + 9_000_000_000), GpsHealth.SPOOFED, "time jump", 1.0),
    "height runs away": (lambda s, t: moved(s, 0.0, 0.0, 6.0 * t), GpsHealth.SPOOFED, "altitude", 16.0),
    "position creeps, velocity true": (lambda s, t: moved(s, 0.0, 1.0 * t), GpsHealth.SPOOFED, "slow creep", 40.0),
    "receiver says spoofing": (lambda s, _: replace(s, interference=2), GpsHealth.SPOOFED, "receiver says", 1.0),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_each_bad_receiver_is_called_so(name: str, tmp_path: Path) -> None:
    """The verdict comes soon after the receiver goes bad, not before, and says why."""
    change, verdict, reason, within_s = CASES[name]
    result = watched(forged(flight(minutes=MINUTES), change, SINCE_S), tmp_path)
    got, why, t_s = first_bad(result)
    assert got is verdict
    assert reason in why
    assert SINCE_S - 0.3 <= t_s <= SINCE_S + within_s
    assert result.alarms >= 1


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".bin", ".tlog", ".csv"])
def test_a_frozen_place_is_seen_in_every_format(suffix: str, tmp_path: Path) -> None:
    """A receiver that tells the same place on and on, without a velocity, is found by the others' word."""
    held: list[GpsSample] = []

    def freeze(sample: GpsSample, _t_s: float) -> GpsSample:
        held.append(sample)
        return replace(held[0], t_ns=sample.t_ns, utc_ns=sample.utc_ns, velocity_ned_mps=(0.0, 0.0, 0.0))

    result = watched(forged(flight(minutes=MINUTES), freeze, SINCE_S), tmp_path, suffix)
    got, _, t_s = first_bad(result)
    assert got is (GpsHealth.DEGRADED if suffix == ".csv" else GpsHealth.SPOOFED)  # a table shows only changes
    assert SINCE_S - 0.3 <= t_s <= SINCE_S + 8.0


def delayed(messages: Messages, since_s: float, more_s_per_s: float) -> Messages:
    """A receiver that is fed what its antenna heard some time before, later and later: place and velocity agree."""
    told = [m for m in messages if isinstance(m, GpsSample)]
    t_ns = np.array([m.t_ns for m in told])
    out: Messages = []
    for m in messages:
        if isinstance(m, GpsSample) and m.t_ns > since_s * 1e9:
            late_ns = (m.t_ns - since_s * 1e9) * more_s_per_s
            old = told[max(int(np.searchsorted(t_ns, m.t_ns - late_ns)) - 1, 0)]
            out.append(replace(old, t_ns=m.t_ns, utc_ns=m.utc_ns))
        else:
            out.append(m)
    return out


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_a_place_that_wanders_by_metres_does_not_creep(seed: int, tmp_path: Path) -> None:
    """A plain receiver between houses: its place goes about by 4 m within a minute, of which its velocity is silent."""
    rng = np.random.default_rng(seed)
    off, keep = np.zeros(2), float(np.exp(-1.0 / (5.0 * 60.0)))
    out: Messages = []
    for m in (m for m in flight(minutes=4.0) if isinstance(m, GpsSample)):
        off = keep * off + np.sqrt(1.0 - keep * keep) * rng.normal(0.0, 4.0, 2)
        out.append(replace(moved(m, *off.tolist()), horizontal_accuracy_m=6.0))
    assert watched(out, tmp_path).alarms == 0


@pytest.mark.slow
def test_an_echo_that_falls_back_is_seen(tmp_path: Path) -> None:
    """Signals that are sent on with a delay that grows by a tenth of a second each second: not slowly enough."""
    got, _, t_s = first_bad(watched(delayed(flight(minutes=3.0), SINCE_S, 0.1), tmp_path))
    assert got is GpsHealth.SPOOFED
    assert SINCE_S < t_s < SINCE_S + 40.0


@pytest.mark.slow
def test_a_slow_copter_whose_place_stands_is_seen(tmp_path: Path) -> None:
    """A place that never changes with a velocity of 2 m/s is no place, whatever flies there; no airspeed is needed."""
    held: list[GpsSample] = []

    def freeze(sample: GpsSample, _t_s: float) -> GpsSample:
        held.append(sample)
        return replace(held[0], t_ns=sample.t_ns, utc_ns=sample.utc_ns, velocity_ned_mps=(2.0, 0.0, 0.0))

    slow = [
        replace(m, latitude_deg=48.0 + 2.0 * m.t_ns / 1e9 / 111_200.0, longitude_deg=37.0,
                velocity_ned_mps=(2.0, 0.05, 0.0))
        for m in flight(minutes=MINUTES) if isinstance(m, GpsSample)
    ]  # fmt: skip
    got, why, t_s = first_bad(watched(forged(list(slow), freeze, SINCE_S), tmp_path))
    assert (got, "frozen" in why) == (GpsHealth.SPOOFED, True)
    assert t_s < SINCE_S + 4.0


@pytest.mark.slow
def test_air_that_is_warmer_than_the_standards_raises_no_alarm(tmp_path: Path) -> None:
    """A climb of 1,000 m within four minutes that the barometer shows 6 % too small is no fault of the receiver."""

    def climb_m(t_ns: int) -> float:
        return min(max(t_ns / 1e9 - 20.0, 0.0), 200.0) * 5.0

    def lifted(m: Telemetry) -> Telemetry:
        if isinstance(m, BaroSample):
            return replace(m, altitude_amsl_m=m.altitude_amsl_m + 0.94 * climb_m(m.t_ns))
        return moved(m, 0.0, 0.0, climb_m(m.t_ns)) if isinstance(m, GpsSample) else m

    kept = (GpsSample, BaroSample)
    result = watched([lifted(m) for m in flight(minutes=4.0) if isinstance(m, kept)], tmp_path)
    assert result.alarms == 0


def test_a_clock_that_is_set_while_the_log_stands_is_no_forgery(tmp_path: Path) -> None:
    """Nothing for ten minutes of the log's clock, of which the receiver's knows nothing: the log has a gap."""
    half_ns = 45_000_000_000
    later = [replace(m, t_ns=m.t_ns + 600_000_000_000) if m.t_ns > half_ns else m for m in flight(minutes=1.0)]
    result = watched(later, tmp_path, ".bin")
    assert result.alarms == 0
    assert any(c.reason == "the log has a gap" for c in result.verdicts)


@pytest.mark.slow
def test_a_glitch_is_over_when_the_receiver_is_back(tmp_path: Path) -> None:
    """Three seconds elsewhere are one alarm of a few seconds."""
    glitch = forged(flight(minutes=MINUTES), lambda s, t: moved(s, 150.0 if t < 3.0 else 0.0, 0.0), SINCE_S)
    result = watched(glitch, tmp_path)
    assert result.alarms == 1
    assert 3.0 <= result.spoofed_s < 10.0


@pytest.mark.slow
def test_without_an_imu_the_receiver_is_compared_with_itself(tmp_path: Path) -> None:
    """A log of a receiver alone still shows its jumps."""
    alone = [m for m in flight(minutes=MINUTES) if isinstance(m, GpsSample)]
    result = watched(forged(alone, lambda s, _: moved(s, 120.0, 0.0), SINCE_S), tmp_path)
    assert first_bad(result)[:2] == (GpsHealth.SPOOFED, "jump, creep")
    assert any("no IMU" in note for note in result.notes)


def test_a_log_without_gps_says_so(tmp_path: Path) -> None:
    """Nothing is watched, and that is told."""
    blind = [m for m in flight(minutes=0.5) if isinstance(m, ImuSample)]
    result = watched(blind, tmp_path)
    assert (result.gps_samples, result.verdicts, result.alarms) == (0, (), 0)
    assert any("no GPS" in note for note in result.notes)


def test_the_figures_and_the_page_show_every_change(tmp_path: Path) -> None:
    """The JSON has the promised keys; the page names verdicts and escapes the log's name."""
    lost = forged(flight(minutes=0.8), lambda s, _: replace(s, fix_type=1), 30.0)
    result = replace(watched(lost, tmp_path), log="<b>.bin")
    assert len(result.verdicts) >= 2
    assert all(one.verdict is not other.verdict for one, other in itertools.pairwise(result.verdicts))
    row = results_of([result])["logs"][0]
    assert {"log", "duration_s", "gps_samples", "verdicts", "spoofed_s", "degraded_s", "alarms"} <= set(row)
    assert {"t_s", "verdict", "reason"} == set(row["verdicts"][0])
    page = gps_page([result], "command")
    assert "DEGRADED" in page
    assert "<b>.bin" not in page


def test_a_result_of_another_evaluation_is_kept(tmp_path: Path) -> None:
    """`evaluate gps` runs again into its own folder; that of another evaluation is refused until --replace."""
    log = write(tmp_path, ".ulg", [m for m in flight(minutes=0.5) if isinstance(m, GpsSample)])
    command = ["evaluate", "gps", str(log), "--out", str(tmp_path / "out"), "--json"]
    results = tmp_path / "out" / "results.json"
    for _ in range(2):
        assert CliRunner().invoke(app, command).exit_code == 0
    own = results.read_bytes()
    results.write_bytes(own.replace(b'"gps"', b'"flights"'))
    refused = CliRunner().invoke(app, command)
    assert "a result of `evaluate flights`" in str(refused.exception)
    assert b'"flights"' in results.read_bytes()
    assert CliRunner().invoke(app, [*command, "--replace"]).exit_code == 0
    assert results.read_bytes() == own


@pytest.mark.slow
def test_logs_that_cannot_be_read_are_told_once_each(tmp_path: Path) -> None:
    """One such log is the user's mistake; of several each is named, and none is named twice."""
    paths = [tmp_path / name for name in ("a.bin", "b.bin")]
    for path in paths:
        path.write_bytes(b"no log")
    one = CliRunner().invoke(app, ["evaluate", "gps", str(paths[0])])
    assert "a.bin is no log" in str(one.exception)
    assert not one.output
    both = CliRunner().invoke(app, ["evaluate", "gps", *map(str, paths)])
    assert both.exit_code == 2
    assert [both.output.count(path.name) for path in paths] == [1, 1]


def test_the_slowest_drift_that_is_seen_is_told(tmp_path: Path) -> None:
    """A drift well above the told one is found, one far below it is not; without other sensors none is promised."""
    messages = flight(minutes=MINUTES)
    floor_mps = watched(messages, tmp_path).slowest_drift_mps
    assert floor_mps is not None

    def drift(share: float) -> GpsLogResult:
        speed = share * floor_mps
        drawn = forged(messages, lambda s, t: faster(moved(s, speed * t, 0.0), speed), SINCE_S)
        return watched(drawn, tmp_path)

    assert any(c.verdict is GpsHealth.SPOOFED for c in drift(1.6).verdicts)
    assert all(c.verdict is not GpsHealth.SPOOFED for c in drift(0.3).verdicts)
    alone = watched([m for m in messages if isinstance(m, GpsSample)], tmp_path)
    assert alone.slowest_drift_mps is None
