"""Written and dropped are what was produced, exactly, whatever happens between."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

from gps_denied_onboard.messages import Frame
from gps_denied_onboard.recorder.client import RawFrameWriteForbiddenError, RecorderClient, thumbnail
from gps_denied_onboard.recorder.reader import FlightReader
from gps_denied_onboard.recorder.verify import verify_flight

from .flights import SECOND_NS, Stepped, imu, navstate, recorder


def counted(folder: Path, producer: str = "flight") -> tuple[int, int]:
    """Records of a producer in the files, and how many are told as lost."""
    reader = FlightReader(folder)
    written = sum(record.producer == producer for record in reader.records())
    lost = sum(m.lost for m in reader.messages({"overrun"}) if m.from_producer == producer)
    return written, lost


def test_a_flood_is_dropped_and_told(tmp_path: Path) -> None:
    """Twenty times what the ring holds between two drains: the newest stay, the count of the others is exact."""
    flight = Stepped(tmp_path, slots=64)
    for k in range(20):
        for n in range(64 * 20 + k):
            flight.client.record(imu(k * SECOND_NS + n))
        flight.writer.step(k * SECOND_NS)
    flight.close()
    written, lost = counted(tmp_path)
    assert (written, written + lost) == (20 * 64, flight.client.produced)
    assert verify_flight(tmp_path).state == "clean"
    times = [m.t_ns for m in FlightReader(tmp_path).messages({"imu"})]
    assert times[:64] == list(range(64 * 19, 64 * 20))


def test_a_thread_that_floods_a_running_recorder(tmp_path: Path) -> None:
    """The counters hold with real threads, and the footer says the same as the files."""
    flight = recorder(tmp_path, ring_slots=256, check_producers=True)
    client = flight.client("flight")

    def flood() -> None:
        for n in range(20_000):
            client.record(imu(n))

    thread = threading.Thread(target=flood)
    thread.start()
    thread.join()
    flight.close(flight.flight_id, clean=True)
    written, lost = counted(flight.folder)
    assert written + lost == client.produced == 20_000
    assert lost > 0
    verdict = verify_flight(flight.folder)
    assert (verdict.state, verdict.lost, verdict.errors) == ("clean", lost, ())


def test_a_record_larger_than_a_slot_is_told(tmp_path: Path) -> None:
    """It cannot be kept, so it is counted like any other loss."""
    flight = Stepped(tmp_path)
    small = RecorderClient("small", 64, slot_bytes=400)
    flight.writer.add_producer(small)
    for message in (imu(1), navstate(2), imu(3)):
        small.record(message)
    flight.close()
    assert counted(tmp_path, "small") == (3, 1)  # its position for Foxglove is there
    assert verify_flight(tmp_path).errors == ()


def test_pictures_are_refused_at_the_producer() -> None:
    """Neither a frame nor its pixels can be recorded."""
    client = RecorderClient("flight", 64)
    image = np.zeros((48, 64), np.uint8)
    for picture in (Frame(1, 0, image), image):
        with pytest.raises(RawFrameWriteForbiddenError):
            client.record(picture)
    assert client.produced == 0


def test_thumbnails_come_ten_seconds_apart(tmp_path: Path) -> None:
    """Of two a second for a minute six are kept, small, and the others are folded into the overrun records."""
    flight = Stepped(tmp_path)
    pictures = RecorderClient("pictures", 64, slot_bytes=64 * 1024)
    flight.writer.add_producer(pictures)
    rng = np.random.default_rng(3)
    image = rng.integers(0, 255, (3648, 5472), dtype=np.uint8)
    for k in range(120):
        pictures.record(thumbnail(Frame(k * SECOND_NS // 2, k, image), "weak"))
        flight.writer.step(k * SECOND_NS // 2)
    flight.close()
    written, lost = counted(tmp_path, "pictures")
    assert (written, lost) == (6, 114)
    verdict = verify_flight(tmp_path)
    assert (verdict.state, verdict.errors) == ("clean", ())
    assert len(list(FlightReader(tmp_path).records({"overrun"}))) == 6


def test_a_second_thread_in_a_ring_is_found(tmp_path: Path) -> None:
    """With the check on, a producer that is used by two threads fails loudly instead of mixing records."""
    flight = Stepped(tmp_path)
    flight.client.record(imu(1))
    failed: list[str] = []

    def other() -> None:
        try:
            flight.client.record(imu(2))
        except RuntimeError as error:
            failed.append(str(error))

    thread = threading.Thread(target=other)
    thread.start()
    thread.join()
    assert failed == ["two threads produce into one ring; give each its own client"]
    flight.close()
