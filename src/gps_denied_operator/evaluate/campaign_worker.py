"""What runs in a process of its own for each flight of a campaign.

Replay it once, then attack its GPS many times over; or darken its pictures and replay that.
"""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gps_denied_operator.evaluate import campaign_plan, campaign_score
from gps_denied_operator.evaluate.campaign_score import AttackScore, BlackoutScore
from gps_denied_operator.evaluate.campaign_tap import Call, Tap, ask_again
from gps_denied_operator.evaluate.processes import Tell
from gps_denied_operator.evaluate.recordings import FlightKey

if TYPE_CHECKING:
    from gps_denied_onboard.messages import GpsSample, NavState
    from gps_denied_sim.recording import Prepared
    from gps_denied_sim.schedule import Event

SIGMAS = 5.0


@dataclass(frozen=True, slots=True)
class CampaignTask:
    """One flight: attacks of each kind on it, or (`turn`) a pass of blackouts. `config_path` None: the defaults."""

    key: FlightKey
    folder: Path
    config_path: Path | None
    attacks: int = 0
    turn: int = 0


def simulate(task: CampaignTask, tell: Tell) -> None:
    """Make the flight's recording."""
    from gps_denied_operator.evaluate import recordings

    _one_thread()
    recordings.simulate(task.folder, task.key, lambda stage, done, total: tell(task.key.seed, stage, done, total))


def attack(task: CampaignTask, tell: Tell) -> list[AttackScore]:
    """Replay the flight once and attack its GPS `task.attacks` times with each kind."""
    _one_thread()
    prepared = _prepared(task.key)
    tap = Tap()
    _replay(task, task.folder, tap, tell, {})
    out = []
    for kind in campaign_plan.ATTACKS:
        for one in campaign_plan.attacks(kind, task.key.seed, task.key.minutes * 60.0, task.attacks):
            out.append(replace(_attacked(one, prepared, tap), flight=task.key.seed))
    return out


def black_out(task: CampaignTask, tell: Tell) -> list[BlackoutScore]:
    """Replay the flight with dark pictures, and a GPS that is forged all the time."""
    import tempfile

    from gps_denied_onboard.config import load_config

    _one_thread()
    prepared = _prepared(task.key)
    dark = campaign_plan.blackouts(task.key.seed, task.turn, task.key.minutes * 60.0)
    tap, forged = Tap(), _forged_throughout(prepared, task.key)
    with tempfile.TemporaryDirectory(prefix="gps-denied-campaign-") as folder:
        darkened = Path(folder) / "recording"
        frames_ns = _darken(task.folder, darkened, prepared, dark)
        _replay(task, darkened, tap, tell, forged)
    limits = load_config(task.config_path).integrity
    offset_m = _offset_of(prepared)
    steps = (limits.degraded_95_m, limits.failsafe_95_m, limits.failsafe_blackout_s)
    scores = [
        campaign_score.score_blackout(
            event.end_s - event.start_s, _around(frames_ns, event), tap.answers, offset_m, steps
        )
        for event in dark
    ]
    return [replace(score, flight=task.key.seed) for score in scores]


def _one_thread() -> None:
    import cv2

    cv2.setNumThreads(1)


def _prepared(key: FlightKey) -> Prepared:
    """The flight itself, no picture of it."""
    from gps_denied_sim.recording import FlyRequest, prepare

    return prepare(FlyRequest(key.seed, key.minutes, key.scenario))


def _replay(task: CampaignTask, folder: Path, tap: Tap, tell: Tell, gps: dict[int, GpsSample]) -> None:
    from gps_denied_onboard.config import load_config
    from gps_denied_onboard.replay.recording import replay_recording

    total, done = round(task.key.minutes * 60.0), 0

    def observer(_trace: Any) -> None:
        nonlocal done
        done += 1
        tell(task.key.seed, "replay", min(done, total), total)

    replay_recording(folder, load_config(task.config_path), None, observer, (tap,), gps)


def _t_ns(t_s: float) -> int:
    from gps_denied_sim.recording import START_NS

    return START_NS + round(t_s * 1e9)


def _attacked(attack: campaign_plan.Attack, prepared: Prepared, tap: Tap) -> AttackScore:
    from gps_denied_sim.recording import START_NS

    first, last = _t_ns(attack.from_s), _t_ns(attack.until_s)
    calls = _between(tap.calls, first, last)
    gps = _gps(prepared, attack.event, attack.seed, attack.from_s - 1.0, attack.until_s + 1.0)
    if attack.hidden:
        gps = {t_ns: _hiding(sample, attack) for t_ns, sample in gps.items()}
    assert tap.monitor is not None
    answers = ask_again(calls, tap.monitor, gps)
    return campaign_score.score_attack(
        attack.kind,
        attack.event.value if attack.kind == "spoof-ramp" else 0.0,
        (_t_ns(attack.event.start_s), _t_ns(attack.event.end_s)),
        lambda t_ns: attack.forged_m((t_ns - START_NS) * 1e-9),
        answers,
        _possible_ns(attack, calls),
    )


def _between(calls: Sequence[Call], first_ns: int, last_ns: int) -> list[Call]:
    """Calls from the first tick after `first_ns` to the last one before `last_ns`, in their order."""
    ticks = [k for k, call in enumerate(calls) if call.method == "on_tick" and first_ns <= call.t_ns < last_ns]
    return list(calls[ticks[0] : ticks[-1] + 1])


def _gps(prepared: Prepared, event: Event, seed: int, from_s: float, until_s: float) -> dict[int, GpsSample]:
    """The GPS of a part of a flight under one event, by time."""
    from gps_denied_sim.recording import START_NS
    from gps_denied_sim.schedule import Scenario
    from gps_denied_sim.sensors.telemetry import GpsReceiver, Rates

    receiver = GpsReceiver(prepared.flight, Scenario("campaign", (event,)), prepared.frame, seed)
    return {s.t_ns: s for s in receiver.samples(START_NS, Rates().gps_hz, from_s, until_s)}


def _hiding(sample: GpsSample, attack: campaign_plan.Attack) -> GpsSample:
    """A forged sample that claims the true velocity while its position drifts away."""
    if attack.forged_m((sample.t_ns - _t_ns(0.0)) * 1e-9) == 0.0:
        return sample
    azimuth, (north, east, down) = math.radians(attack.event.azimuth_deg), sample.velocity_ned_mps
    speed = attack.event.value
    return replace(sample, velocity_ned_mps=(north - speed * math.cos(azimuth), east - speed * math.sin(azimuth), down))


def _possible_ns(attack: campaign_plan.Attack, calls: Sequence[Call]) -> int | None:
    """When a verdict was possible: see AttackScore."""
    from gps_denied_onboard.integrity.config import IntegrityConfig
    from gps_denied_onboard.integrity.gps_health import chi_square
    from gps_denied_onboard.integrity.monitor import reference_of
    from gps_denied_sim.recording import START_NS

    azimuth = math.radians(attack.event.azimuth_deg)
    floor_m2 = IntegrityConfig().gps_floor_m ** 2
    for call in calls:
        forged_m = attack.forged_m((call.t_ns - START_NS) * 1e-9)
        if call.method != "on_gps" or forged_m == 0.0:
            continue
        reference = reference_of(call.arguments[1])
        if math.isinf(forged_m):
            return call.t_ns
        if reference is None:
            continue
        a, b, c = reference.position_covariance_m2
        apart = (forged_m * math.sin(azimuth), forged_m * math.cos(azimuth))
        if chi_square(apart, (a + floor_m2, b, c + floor_m2)) >= SIGMAS**2:
            return call.t_ns
    return None


def _forged_throughout(prepared: Prepared, key: FlightKey) -> dict[int, GpsSample]:
    from gps_denied_sim.noise import stream
    from gps_denied_sim.schedule import Event

    rng = stream(key.seed, "campaign-forged")
    end_s = key.minutes * 60.0 + 1.0
    jump = Event("gps_jump", 0.0, end_s, float(rng.uniform(300.0, 900.0)), float(rng.uniform(0.0, 360.0)))
    return _gps(prepared, jump, key.seed, 0.0, end_s)


def _darken(source: Path, target: Path, prepared: Prepared, dark: Sequence[Event]) -> list[int]:
    """A recording like `source` whose pictures are dark during the events; returns all frames' times in ns."""
    import cv2

    from gps_denied_onboard.recorder.mcap_io import RecordingReader
    from gps_denied_onboard.recorder.meta import FRAMES_FOLDER
    from gps_denied_sim.noise import make_textures, stream
    from gps_denied_sim.render.atmosphere import dark_picture, make_sensor

    target.mkdir()
    for entry in source.iterdir():
        if entry.is_dir() and entry.name != FRAMES_FOLDER:
            shutil.copytree(entry, target / entry.name, copy_function=_linked)
        elif entry.is_file():
            _linked(entry, target / entry.name)
    (target / FRAMES_FOLDER).mkdir()
    request = prepared.request
    sensor, textures = make_sensor(request.seed, request.width_px, request.height_px), make_textures(request.seed)
    times = []
    for record in RecordingReader(source).frames():
        times.append(record.t_ns)
        picture = target / FRAMES_FOLDER / record.name
        if any(_t_ns(event.start_s) <= record.t_ns < _t_ns(event.end_s) for event in dark):
            rng = stream(request.seed, "dark-picture", record.index)
            image = dark_picture((request.height_px, request.width_px), sensor, rng, textures)
            cv2.imwrite(str(picture), image, [cv2.IMWRITE_JPEG_QUALITY, 92])
        else:
            _linked(source / FRAMES_FOLDER / record.name, picture)
    return times


def _linked(source: str | Path, target: str | Path) -> str | Path:
    """A second name for a file, or a copy where the filesystem has none: symbolic links are no part of a recording."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
    return target


def _around(frames_ns: Sequence[int], event: Event) -> tuple[int, int, int, int]:
    """Last bright frame, first and third dark one, first bright one after a blackout."""
    first = next(k for k, t_ns in enumerate(frames_ns) if t_ns >= _t_ns(event.start_s))
    after = next(k for k, t_ns in enumerate(frames_ns) if t_ns >= _t_ns(event.end_s))
    return frames_ns[first - 1], frames_ns[first], frames_ns[first + 2], frames_ns[after]


def _offset_of(prepared: Prepared) -> Callable[[NavState], tuple[float, float]]:
    """Error of a position, east and north in m."""
    from gps_denied_sim.recording import START_NS

    def offset_m(state: NavState) -> tuple[float, float]:
        truth, _ = prepared.flight.at((state.t_ns - START_NS) * 1e-9)
        told = prepared.frame.enu_from_geodetic(state.latitude_deg, state.longitude_deg, state.altitude_amsl_m)
        return float(told[0] - truth[0]), float(told[1] - truth[1])

    return offset_m
