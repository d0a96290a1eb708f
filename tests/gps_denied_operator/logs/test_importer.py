"""A log and its pictures become a recording that replays like the flight itself."""

from __future__ import annotations

import math
import re
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gps_denied_onboard.config import Config
from gps_denied_onboard.errors import UserError
from gps_denied_onboard.messages import AttitudeSample, GpsSample, ImuSample, TakeoffOrigin
from gps_denied_onboard.recorder.mcap_io import RecordingReader
from gps_denied_onboard.recorder.meta import read_meta
from gps_denied_onboard.replay.recording import FrameTrace, replay_recording
from gps_denied_operator.logs.importer import ImportRequest, import_log
from gps_denied_operator.scoring.truth import truth_of_samples
from tests.conftest import REPOSITORY
from tests.gps_denied_operator.logs.flown import fly, stills, write_log
from tests.gps_denied_operator.logs.log_files import START_UNIX_NS, dataflash_of, flight, write


def test_a_log_alone_becomes_a_recording(tmp_path: Path) -> None:
    """Sensors, the watched GPS, the truth and one told position are in it; the page and the notes too."""
    out = tmp_path / "recording"
    told = import_log(ImportRequest(write(tmp_path, ".bin", flight(minutes=0.5)), out))
    reader = RecordingReader(out)
    messages = list(reader.messages())
    assert reader.problems == ()
    assert sum(isinstance(m, TakeoffOrigin) for m in messages) == 1
    assert sum(isinstance(m, GpsSample) for m in messages) == told["messages"]["gps"] == told["truth"]
    assert len(list(reader.truth())) == told["truth"]
    assert read_meta(out).utc_at_zero is not None
    assert told["frames"] == 0
    assert "it holds no rangefinder." in told["notes"]
    page = (out / "import.html").read_text(encoding="utf-8")
    assert "Imported log" in page
    assert "polyline" in page


def test_the_time_on_the_ground_before_a_flight_is_left_out(tmp_path: Path) -> None:
    """Ten seconds of standing, with attitudes of an autopilot that still aligns itself: the recording begins where the
    receiver runs, with the place that the navigation is told, and it is said."""
    flown = [replace(m, t_ns=m.t_ns + 10 * 10**9) for m in flight(minutes=0.5)]
    first = next(m for m in flown if isinstance(m, GpsSample))
    times_ns = range(0, 10 * 10**9, 200_000_000)
    at_rest = replace(first, velocity_ned_mps=(0.1, 0.0, 0.0))
    stood = [replace(at_rest, t_ns=t_ns, utc_ns=first.utc_ns - first.t_ns + t_ns) for t_ns in times_ns]
    unaligned = [AttitudeSample(t_ns, (0.0, 0.0, 0.0, 1.0)) for t_ns in times_ns]
    before = [m for pair in zip(stood, unaligned, strict=True) for m in pair]
    told = import_log(ImportRequest(write(tmp_path, ".bin", [*before, *flown]), tmp_path / "recording"))
    messages = list(RecordingReader(tmp_path / "recording").messages())
    assert told["duration_s"] == pytest.approx(30.0, abs=0.5)
    assert [type(m) for m in messages].index(TakeoffOrigin) < 10
    assert any("it stood on the ground: the navigation begins at 10" in note for note in told["notes"])


def test_two_flights_in_one_file_give_the_longer_one(tmp_path: Path) -> None:
    """The longest part is taken, and it is said which."""
    path = tmp_path / "two.bin"
    path.write_bytes(dataflash_of(flight(minutes=0.5)) + dataflash_of(flight(minutes=0.8)))
    told = import_log(ImportRequest(path, tmp_path / "recording"))
    assert told["duration_s"] == pytest.approx(48.0, abs=1.0)
    assert any("the longest was taken" in note for note in told["notes"])


def test_a_log_without_gps_is_refused_with_nothing_left(tmp_path: Path) -> None:
    """Where on earth it was flown nothing tells: a UserError, and no folder."""
    blind = [m for m in flight(minutes=0.5) if not isinstance(m, GpsSample)]
    with pytest.raises(UserError, match="no GPS"):
        import_log(ImportRequest(write(tmp_path, ".bin", blind), tmp_path / "recording"))
    assert not (tmp_path / "recording").exists()


def test_attitude_alone_is_used_and_what_lacks_is_told(tmp_path: Path) -> None:
    """A log with 50 Hz of attitude and no IMU: a recording of what there is, and a sentence for each thing missing."""
    attitudes = [m for m in flight(minutes=0.5) if isinstance(m, AttitudeSample | GpsSample)]
    often = [
        replace(m, t_ns=m.t_ns + k * 20_000_000) for m in attitudes if isinstance(m, AttitudeSample) for k in (0, 1)
    ]
    messages = sorted([*often, *(m for m in attitudes if isinstance(m, GpsSample))], key=lambda m: m.t_ns)
    told = import_log(ImportRequest(write(tmp_path, ".bin", messages), tmp_path / "recording"))
    assert told["messages"] == {"attitude": len(often), "gps": told["truth"]}
    assert {"it holds no imu.", "it holds no airspeed.", "it holds no baro."} <= set(told["notes"])
    assert any("how late its receiver is nothing tells" in note for note in told["notes"])


def test_pictures_without_times_are_told_and_left_out(tmp_path: Path) -> None:
    """A folder of pictures that nothing places is no reason to lose the log."""
    folder = tmp_path / "DCIM"
    folder.mkdir()
    for k in range(3):
        Image.fromarray(np.full((48, 64, 3), 80 + k, dtype=np.uint8)).save(folder / f"{k}.jpg")
    log = write(tmp_path, ".ulg", [m for m in flight(minutes=0.5) if not isinstance(m, ImuSample)])
    told = import_log(ImportRequest(log, tmp_path / "recording", photos=folder))
    assert told["frames"] == 0
    assert told["offset_s"] is None
    assert any("no times" in note for note in told["notes"])
    assert "it holds no imu." in told["notes"]


def test_stills_of_one_second_are_all_taken(tmp_path: Path) -> None:
    """A camera whose clock counts whole seconds gives several pictures one time: each is a frame, in their order."""
    folder = tmp_path / "DCIM"
    folder.mkdir()
    for k in range(4):
        exif = Image.Exif()
        taken = datetime.fromtimestamp(START_UNIX_NS // 10**9 + 10 + k // 2, UTC)
        exif.get_ifd(0x8769).update({0x9003: taken.strftime("%Y:%m:%d %H:%M:%S"), 0x9011: "+00:00"})
        Image.fromarray(np.full((48, 64, 3), 80 + k, dtype=np.uint8)).save(folder / f"{k}.jpg", exif=exif)
    out = tmp_path / "recording"
    told = import_log(ImportRequest(write(tmp_path, ".bin", flight(minutes=0.5)), out, photos=folder))
    assert told["aligned_by"] == "times of the pictures"
    frames = list(RecordingReader(out).frames())
    assert [frame.index for frame in frames] == [0, 1, 2, 3]
    assert frames[0].t_ns == frames[1].t_ns < frames[2].t_ns == frames[3].t_ns
    assert (out / "frames" / frames[1].name).read_bytes() == (folder / "1.jpg").read_bytes()


def test_the_example_of_the_page_writes_a_recording(tmp_path: Path) -> None:
    """The 30 lines of _docs/recording.md run as they stand, and what they write is read without a problem."""
    page = (REPOSITORY / "_docs" / "recording.md").read_text(encoding="utf-8")
    code = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert len(code) == 1
    subprocess.run([sys.executable, "-c", code[0]], cwd=tmp_path, check=True, timeout=60)
    reader = RecordingReader(tmp_path / "my-flight")
    assert len(list(reader.events())) == 1000 + 300 + 1 + 10
    assert reader.problems == ()
    assert read_meta(tmp_path / "my-flight").camera.width_px == 640


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".bin", ".tlog"])
def test_an_imported_flight_replays_as_the_flown_one(suffix: str, tmp_path: Path) -> None:
    """Log, stills and map of a flight with pictures: the replay's error is that of the flight's own recording."""
    flown = fly(tmp_path, 1.0)
    meta = read_meta(flown)
    out = tmp_path / "imported"
    request = ImportRequest(
        write_log(tmp_path, suffix, flown), out, photos=stills(tmp_path, flown),
        maps=(flown / "tiles" / "provider",), fov_deg=60.0, ground_m=meta.origin_altitude_m,
    )  # fmt: skip
    told = import_log(request)
    assert told["aligned_by"] == "camera messages"
    assert told["frames"] == 60
    config = Config(camera=meta.camera)
    own, imported = _median_error_m(flown, config), _median_error_m(out, config)
    assert imported < 1.1 * own + 1.5  # the log's truth is a receiver's, off by a metre or two


def _median_error_m(recording: Path, config: Config) -> float:
    truth = truth_of_samples(RecordingReader(recording).truth())
    errors: list[float] = []

    def see(trace: FrameTrace) -> None:
        place = truth(0, "", trace.t_ns)
        if place is not None and trace.state is not None:
            scale = math.cos(math.radians(place.latitude_deg))
            north = (trace.state.latitude_deg - place.latitude_deg) * 111_200.0
            east = (trace.state.longitude_deg - place.longitude_deg) * 111_320.0 * scale
            errors.append(math.hypot(north, east))

    replay_recording(recording, config, None, see)
    return float(np.median(errors))
