"""Pictures of a test flight: which are kept, how much they take, and that no disk is in the recording's way."""

from __future__ import annotations

import errno
import hashlib
import threading
from pathlib import Path

import numpy as np
import pytest

from gps_denied_onboard.config import load_config
from gps_denied_onboard.errors import UserError
from gps_denied_onboard.live.picture_keeper import PictureKeeper
from gps_denied_onboard.messages import Frame
from gps_denied_onboard.recorder import pictures
from gps_denied_onboard.recorder.client import RecorderClient
from gps_denied_onboard.recorder.config import RecorderConfig
from gps_denied_onboard.recorder.pictures import PictureStore
from gps_denied_onboard.recorder.reader import FlightReader
from gps_denied_onboard.recorder.verify import verify_flight

from .flights import Stepped

S = 1_000_000_000


def frame(k: int, rate_hz: float = 3.0, name: str = "", size: tuple[int, int] = (90, 120)) -> Frame:
    image = np.random.default_rng(k).integers(0, 256, size, np.uint8)
    return Frame(round(k * S / rate_hz), k, image, name)


@pytest.fixture(autouse=True)
def no_reserve(monkeypatch: pytest.MonkeyPatch) -> None:
    """These tests keep few bytes on whatever disk there is."""
    monkeypatch.setattr(pictures, "RESERVE_BYTES", 0)


def store(folder: Path, **settings: object) -> tuple[Stepped, PictureStore]:
    made = Stepped(folder)
    client = RecorderClient("kept", 64)
    made.writer.add_producer(client)
    return made, PictureStore(RecorderConfig(**settings), folder, "flight-1", client)  # type: ignore[arg-type]


def kept(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*.jpg"))


def test_none_is_what_is_flown_with(tmp_path: Path) -> None:
    """Without a setting no picture is wanted, and no folder is made (R-7)."""
    _, pictures_of = store(tmp_path)
    assert not any(pictures_of.wants(frame(k).t_ns) for k in range(10))
    assert pictures_of.alerts() == []
    assert not (tmp_path / "frames").exists()


def test_key_keeps_one_a_second_and_all_keeps_all(tmp_path: Path) -> None:
    """At three frames a second: a third of them, or each; the ground is told which."""
    for keeping, count in (("key", 4), ("all", 12)):
        folder = tmp_path / keeping
        folder.mkdir()
        recorder, pictures_of = store(folder, pictures=keeping)
        for k in range(12):
            if pictures_of.wants(frame(k).t_ns):
                pictures_of.keep(frame(k))
        recorder.close()
        assert len(kept(folder)) == pictures_of.kept == count
        assert pictures_of.announcement == f"recorder keeps pictures: {keeping}"
        assert pictures_of.alerts() == []
        assert verify_flight(folder).state == "clean"


def test_a_kept_picture_is_on_record_with_its_hash(tmp_path: Path) -> None:
    """The signed segments vouch for the file: name, bytes, SHA-256; it lies under the flight's name where told to."""
    other = tmp_path / "volume"
    recorder, pictures_of = store(tmp_path, pictures="all", pictures_dir=str(other))
    pictures_of.keep(frame(7))
    recorder.close()
    (told,) = FlightReader(tmp_path).messages({"picture"})
    jpeg = (other / "flight-1" / "frames" / "000007.jpg").read_bytes()
    assert (told.name, told.bytes, told.sha256) == ("000007.jpg", len(jpeg), hashlib.sha256(jpeg).hexdigest())


def test_the_budget_ends_the_keeping_and_not_the_flight(tmp_path: Path) -> None:
    """What fits is kept, the rest is counted as lost, and the ground is told once."""
    recorder, pictures_of = store(tmp_path, pictures="all", pictures_cap_mib=1)
    for k in range(6):
        pictures_of.keep(frame(k, size=(600, 800)))
    recorder.close()
    assert 0 < pictures_of.kept < 6
    assert pictures_of.kept + pictures_of.lost == 6
    assert pictures_of.bytes <= 1 << 20
    assert [text for _, text in pictures_of.alerts()] == ["recorder: picture budget of 1 MiB used"]


def test_a_picture_has_bounded_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Noise is compressed more until it fits; what never fits is lost and counted."""
    sizes = []
    for bound in (1 << 20, 30_000, 100):
        folder = tmp_path / str(bound)
        folder.mkdir()
        monkeypatch.setattr(pictures, "PICTURE_BYTES_MAX", bound)
        recorder, pictures_of = store(folder, pictures="all")
        pictures_of.keep(frame(1, size=(200, 300)))
        recorder.close()
        sizes.append(pictures_of.bytes)
        assert pictures_of.bytes <= bound
    assert sizes[0] > sizes[1] > sizes[2] == 0
    assert pictures_of.lost == 1


def test_a_full_disk_costs_pictures_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures are lost and counted, said once, tried again ten seconds later; the recording is whole."""
    recorder, pictures_of = store(tmp_path, pictures="all")
    full = True

    def write(path: Path, data: bytes) -> None:
        if full:
            raise OSError(errno.ENOSPC, "No space left on device")
        path.write_bytes(data)

    monkeypatch.setattr(pictures, "replace_whole", write)
    for k in range(60):
        full = k < 30
        pictures_of.keep(frame(k))
    recorder.close()
    assert [text for _, text in pictures_of.alerts()] == ["recorder: no room for pictures"]
    assert (pictures_of.kept, pictures_of.lost) == (30, 30)
    assert (verify_flight(tmp_path).state, verify_flight(tmp_path).lost) == ("clean", 0)


def test_pictures_leave_the_recordings_disk_its_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the recording's own disk a reserve stays free."""
    monkeypatch.setattr(pictures, "RESERVE_BYTES", 1 << 60)
    _, pictures_of = store(tmp_path, pictures="all")
    pictures_of.keep(frame(1))
    assert (pictures_of.kept, pictures_of.lost, kept(tmp_path)) == (0, 1, [])


@pytest.mark.parametrize("name", ["../../evil.jpg", "/tmp/evil.jpg", ".hidden", "a\nb", "x" * 300])
def test_a_foreign_name_is_no_path(tmp_path: Path, name: str) -> None:
    """A frame's name comes from a recording that anyone may have made: what is no plain name is its number instead."""
    flight = tmp_path / "flight"
    flight.mkdir()
    _, pictures_of = store(flight, pictures="all")
    pictures_of.keep(frame(1, name=name))
    assert [path.relative_to(flight) for path in tmp_path.rglob("*.jpg")] == [Path("frames/000001.jpg")]


def test_a_disk_that_hangs_never_holds_the_flight(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While nothing is written, what waits is bounded and the rest is counted as lost."""
    go = threading.Event()

    def hangs(_path: Path, _data: bytes) -> None:
        assert go.wait(30.0)

    monkeypatch.setattr(pictures, "replace_whole", hangs)
    _, pictures_of = store(tmp_path, pictures="all")
    with PictureKeeper(pictures_of) as keeper:
        for k in range(40):
            keeper.offer(frame(k))
        assert keeper.counters()["pictures_lost"] >= 40 - 10
        go.set()
    told = keeper.counters()
    assert told["pictures"] + told["pictures_lost"] == 40


def test_a_wrong_setting_says_the_right_ones(tmp_path: Path) -> None:
    """Another word than the three is a mistake in the configuration."""
    (tmp_path / "flight.toml").write_text('[recorder]\npictures = "some"\n')
    with pytest.raises(UserError, match="must be none, key or all, got 'some'"):
        load_config(tmp_path / "flight.toml")
