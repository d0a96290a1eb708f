"""What runs in a process of its own for each simulated flight: simulate it, replay it, collect rows and pictures."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gps_denied_operator.evaluate.processes import Tell
from gps_denied_operator.evaluate.recordings import FlightKey
from gps_denied_operator.report.model import MapPicture
from gps_denied_operator.scoring.frames import FrameResult

if TYPE_CHECKING:
    from gps_denied_onboard.geometry.geodesy import LocalFrame
    from gps_denied_onboard.messages import Alert
    from gps_denied_onboard.recorder.kinds import FrameRecord
    from gps_denied_onboard.recorder.mcap_io import RecordingReader
    from gps_denied_onboard.recorder.meta import RecordingMeta
    from gps_denied_onboard.replay.recording import FrameTrace
    from gps_denied_onboard.tiles.mosaic import MapMosaic
    from gps_denied_operator.report.story import Story

PICTURE_MARGIN_M = 350.0
BLINDING = ("camera_dark", "camera_cloud")


@dataclass(frozen=True, slots=True)
class FlightTask:
    """One flight to do. `config_path` None: the defaults. `replay_folder` None: the replay's output is not kept.
    `heights` False: what the recording holds of the ground's heights is not used."""

    key: FlightKey
    folder: Path
    config_path: Path | None
    replay_folder: Path | None
    worst: int
    map_width_px: int
    heights: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class FlightOutcome:
    """What a worker hands back. `seeing` is False where the flight's schedule blinds the camera."""

    key: FlightKey
    rows: Sequence[FrameResult] = ()
    origin: tuple[float, float, float] | None = None
    background: MapPicture | None = None
    note: str = ""
    seeing: bool = True
    rss_peak_mb: float = 0.0
    story: Story | None = None
    true_gps_left: int = 0


def simulate(task: FlightTask, tell: Tell) -> None:
    """Make the flight's recording."""
    from gps_denied_operator.evaluate import recordings

    _one_thread()
    recordings.simulate(task.folder, task.key, lambda stage, done, total: tell(task.key.seed, stage, done, total))


def replay(task: FlightTask, tell: Tell) -> FlightOutcome:
    """Replay the recording through the onboard pipeline and collect its rows."""
    from gps_denied_onboard.config import load_config
    from gps_denied_onboard.recorder.mcap_io import RecordingReader
    from gps_denied_onboard.recorder.meta import read_meta
    from gps_denied_onboard.replay.recording import replay_recording
    from gps_denied_operator.evaluate.gps_left import SourceLog, faulty_spans_ns, true_gps_left
    from gps_denied_operator.evaluate.machine import own_rss_peak_mb
    from gps_denied_operator.scoring.truth import truth_of_samples

    _one_thread()
    meta = read_meta(task.folder)
    reader = RecordingReader(task.folder)
    taken = list(reader.frames())
    collector = Collector(truth_of_samples(reader.truth()), lambda n: tell(task.key.seed, "replay", n, len(taken)))
    log = SourceLog()
    config = load_config(task.config_path)
    summary = replay_recording(task.folder, config, task.replay_folder, collector, (log,), heights=task.heights)
    peak_mb = own_rss_peak_mb()
    collector.add_missed(taken)
    outcome = _illustrated(task, meta, collector.rows, summary.problems, peak_mb)
    start_ns = next((event.t_ns for event in reader.events()), 0)
    left = true_gps_left(log.sources, faulty_spans_ns(meta, start_ns))
    return dataclasses.replace(outcome, true_gps_left=left, story=_story(reader, meta, collector))


def _story(reader: RecordingReader, meta: RecordingMeta, collector: Collector) -> Story:
    """What the replay's decisions and alerts tell, beside the receiver's own track."""
    from gps_denied_onboard.messages import GpsSample
    from gps_denied_operator.report.story import story_of, utc_of

    receiver = [message for message in reader.messages() if isinstance(message, GpsSample)]
    aids = [aid for row in collector.rows for aid in row.aids]
    times = [*(sample.t_ns for sample in receiver), *(row.t_ns for row in collector.rows)] or [0]
    told = [*receiver, *collector.alerts, *aids]
    return story_of(told, (min(times), max(times)), utc_of((), receiver, meta.unix_ns_at_zero))


def _one_thread() -> None:
    import cv2

    cv2.setNumThreads(1)


class Collector:
    """Observer of a replay or of a run over photographs: one row for each frame, with its truth."""

    def __init__(self, truth: Callable[[int, str, int], Any], progress: Callable[[int], None]) -> None:
        self._truth, self._progress = truth, progress
        self.rows: list[FrameResult] = []
        self.alerts: list[Alert] = []

    def __call__(self, trace: FrameTrace) -> None:
        row = self._with_truth(trace.t_ns, trace.index, trace.name)
        self.rows.append(
            dataclasses.replace(
                row,
                state=trace.state,
                fix=trace.fix,
                step=trace.step,
                latency_ms=trace.latency_ms,
                stage_ms=dict(trace.stage_ms),
                aids=tuple(trace.aids),
                cpu_ms=trace.cpu_ms,
            )
        )
        self.alerts += trace.alerts
        self._progress(len(self.rows))

    def add_missed(self, taken: Sequence[FrameRecord]) -> None:
        """Rows without an estimate for pictures that were taken and of which nothing was heard."""
        heard = {row.index for row in self.rows}
        missed = [self._with_truth(f.t_ns, f.index, f.name) for f in taken if f.index not in heard]
        self.rows = sorted([*self.rows, *missed], key=lambda row: (row.t_ns, row.index))

    def _with_truth(self, t_ns: int, index: int, name: str) -> FrameResult:
        place = self._truth(index, name, t_ns)
        if place is None:
            return FrameResult(t_ns, index, name)
        return FrameResult(t_ns, index, name, place.latitude_deg, place.longitude_deg, place.altitude_m)


def _illustrated(
    task: FlightTask, meta: RecordingMeta, rows: list[FrameResult], problems: Sequence[str], peak_mb: float
) -> FlightOutcome:
    """The outcome, with the map behind it and pictures of the worst frames."""
    from gps_denied_onboard.geometry.geodesy import LocalFrame
    from gps_denied_operator.report.pictures import background

    origin = (meta.origin_latitude_deg, meta.origin_longitude_deg, meta.origin_altitude_m)
    mosaic = _mosaic(task.folder, meta)
    if mosaic is not None:
        rows = _with_pictures(task, meta, rows, mosaic, LocalFrame(*origin))
    picture = None if mosaic is None else background(mosaic, rows, PICTURE_MARGIN_M, task.map_width_px)
    schedule = "; ".join(_event(event) for event in meta.schedule)
    notes = [f"Schedule: {schedule}."] if schedule else []
    notes += [f"{problem.rstrip('.')}." for problem in problems]
    seeing = not any(event.get("kind") in BLINDING for event in meta.schedule)
    return FlightOutcome(task.key, rows, origin, picture, " ".join(notes), seeing, peak_mb)


def _mosaic(folder: Path, meta: RecordingMeta) -> MapMosaic | None:
    from gps_denied_onboard.recorder.meta import tiles_inside
    from gps_denied_onboard.tiles.mosaic import MapMosaic
    from gps_denied_onboard.tiles.sources import DirectoryTileSource

    tiles = tiles_inside(folder, meta)
    if tiles is None:
        return None
    source = DirectoryTileSource(tiles, meta.tiles_zoom)
    return MapMosaic(source, cache_bytes=64 * 1024 * 1024)


def _with_pictures(
    task: FlightTask, meta: RecordingMeta, rows: list[FrameResult], mosaic: MapMosaic, local: LocalFrame
) -> list[FrameResult]:
    from gps_denied_onboard.frames.recording import RecordingFrames
    from gps_denied_onboard.recorder.kinds import FrameRecord
    from gps_denied_operator.report.pictures import camera_pose, jpeg, map_view, readable, thumbnail, worst_first

    frames = RecordingFrames(task.folder, grey=True)
    out = list(rows)
    for i in worst_first(rows, task.worst):
        row = rows[i]
        frame = frames.load(FrameRecord(row.t_ns, row.index, row.name))
        pose = camera_pose(row, local, meta.camera)
        view = None if pose is None else map_view(mosaic, local, meta.camera, pose)
        out[i] = dataclasses.replace(
            row,
            frame_jpeg=None if frame is None else jpeg(readable(thumbnail(frame.image))),
            map_jpeg=None if view is None else jpeg(view),
        )
    return out


def _event(event: dict[str, Any]) -> str:
    """One entry of the schedule in words: kind, from, until."""
    start_s, end_s = (float(event.get(key, 0.0)) for key in ("start_s", "end_s"))
    return f"{str(event.get('kind', 'event')).replace('_', ' ')} {_clock(start_s)}–{_clock(end_s)}"


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
