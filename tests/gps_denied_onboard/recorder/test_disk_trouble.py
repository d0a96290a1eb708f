"""A disk that is full, a root that cannot be written, two recorders: said clearly, and never in the flight's way."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gps_denied_onboard.recorder.flight import (
    FlightIdMismatchError,
    FlightRecorder,
    RecorderNotOpenError,
    RecorderOpenError,
)
from gps_denied_onboard.recorder.reader import FlightReader
from gps_denied_onboard.recorder.segment import segment_name
from gps_denied_onboard.recorder.verify import verify_flight

from .flights import SECOND_NS, Stepped, bulk, imu, recorder

# A limit on the size of files is the one way to a disk that refuses without root; it holds for a whole process.
FULL = """
import resource, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from flights import SECOND_NS, Stepped, imu

flight = Stepped(Path(sys.argv[1]))
def run(seconds):
    for second in seconds:
        for n in range(100):
            flight.client.record(imu(second * SECOND_NS + n))
        flight.writer.step(second * SECOND_NS)
run(range(1, 10))
limits = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
run(range(10, 30))
assert flight.writer.degraded
resource.setrlimit(resource.RLIMIT_FSIZE, limits)
run(range(30, 40))
assert not flight.writer.degraded
flight.close()
print(flight.client.produced, [severity for severity, _ in flight.told])
"""


def test_a_full_disk_costs_records_and_tells_how_many(tmp_path: Path) -> None:
    """While the disk takes nothing the flight goes on; then the count of what is missing is exact, the chain whole."""
    run = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path), str(Path(__file__).parent)], capture_output=True, text=True
    )
    assert (run.stdout, run.stderr) == ("3900 [3, 5]\n", ""), run.stderr
    reader = FlightReader(tmp_path)
    written = sum(record.producer == "flight" for record in reader.records())
    lost = list(reader.messages({"overrun"}))
    assert [m.reason for m in lost] == ["the disk did not take it"]
    assert written + lost[0].lost == 3900
    assert 2000 <= lost[0].lost <= 2200
    verdict = verify_flight(tmp_path)
    assert (verdict.state, verdict.errors) == ("clean", ())


def test_a_root_that_cannot_be_written_stops_the_take_off(tmp_path: Path) -> None:
    """One sentence with the folder, the reason and what to do."""
    (tmp_path / "flights").write_text("a file")
    with pytest.raises(RecorderOpenError, match=r"flights: .*\. Make room there or mend its rights"):
        recorder(tmp_path / "flights")


def test_a_disk_that_is_full_at_once_stops_the_take_off(tmp_path: Path) -> None:
    """What cannot be opened is not flown with, and the lock is free again afterwards."""
    program = (
        "import resource, sys; from pathlib import Path; sys.path.insert(0, sys.argv[2])\n"
        "from flights import recorder\n"
        "limits = resource.getrlimit(resource.RLIMIT_FSIZE)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))\n"
        "try: recorder(Path(sys.argv[1]))\n"
        "except Exception as error: print(type(error).__name__)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, limits); flight = recorder(Path(sys.argv[1]))\n"
        "flight.close(flight.flight_id, clean=True)"
    )
    command = [sys.executable, "-c", program, str(tmp_path), str(Path(__file__).parent)]
    run = subprocess.run(command, capture_output=True, text=True)
    assert (run.stdout, run.returncode) == ("RecorderOpenError\n", 0), run.stderr


def test_two_recorders_on_one_root(tmp_path: Path) -> None:
    """A second process is refused while the first records, and welcome after it."""
    program = (
        "import sys; from pathlib import Path; sys.path.insert(0, sys.argv[2]); from flights import recorder\n"
        "try:\n    flight = recorder(Path(sys.argv[1])); flight.close(flight.flight_id, clean=True)\n"
        "    print('recorded')\n"
        "except Exception as error: print(error)"
    )
    command = [sys.executable, "-c", program, str(tmp_path), str(Path(__file__).parent)]
    first = recorder(tmp_path)
    second = subprocess.run(command, capture_output=True, text=True)
    assert "another process records into" in second.stdout, second.stderr
    first.close(first.flight_id, clean=True)
    assert subprocess.run(command, capture_output=True, text=True).stdout == "recorded\n"


def test_closing_what_is_not_open(tmp_path: Path) -> None:
    """Another flight's id, a second close and a late producer are errors with names."""
    flight: FlightRecorder = recorder(tmp_path)
    with pytest.raises(FlightIdMismatchError, match="flight other is to be closed"):
        flight.close("other", clean=True)
    flight.close(flight.flight_id, clean=True)
    with pytest.raises(RecorderNotOpenError, match="is closed already"):
        flight.close(flight.flight_id, clean=True)
    with pytest.raises(RecorderNotOpenError, match="no producer can join"):
        flight.client("late")


def test_the_cap_drops_the_oldest_but_the_first(tmp_path: Path) -> None:
    """The folder stays under the cap; the first segment and the newest stay; each removal is a record."""
    flight = Stepped(tmp_path, slots=256, cap_mib=3, segment_mib=1)
    for second in range(1, 100):
        for n in range(40):
            flight.client.record(bulk(second * SECOND_NS + n))
        flight.writer.step(second * SECOND_NS)
    flight.close()
    names = sorted(path.name for path in tmp_path.glob("*.mcap"))
    removed = [m.segment for m in FlightReader(tmp_path).messages({"segment_rollover"})]
    assert names[0] == segment_name(0)
    assert segment_name(1) not in names
    assert removed
    assert sum(path.stat().st_size for path in tmp_path.glob("*.mcap")) <= 3 << 20
    verdict = verify_flight(tmp_path)
    assert (verdict.state, verdict.errors) == ("clean", ())
    assert flight.told == []


def test_a_cap_that_is_too_small_is_told_once_and_flown_with(tmp_path: Path) -> None:
    """The first and the open segment are kept whatever the cap says."""
    flight = Stepped(tmp_path, slots=256, cap_mib=1, segment_mib=1)
    for second in range(1, 50):
        for n in range(40):
            flight.client.record(bulk(second * SECOND_NS + n))
        flight.writer.step(second * SECOND_NS)
    flight.close()
    assert [severity for severity, _ in flight.told] == [3]
    assert "the cap is smaller" in flight.told[0][1]
    assert (tmp_path / segment_name(0)).exists()


def test_a_torn_write_is_cut_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that takes half of a flush leaves whole chunks only."""
    flight = Stepped(tmp_path)
    flight.client.record(imu(1))
    flight.writer.step(SECOND_NS)
    flight.client.record(imu(2))
    real, calls = os.write, []

    def half(descriptor: int, data: bytes) -> int:
        calls.append(len(data))
        if len(calls) > 1:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(descriptor, bytes(data)[: len(data) // 2])

    monkeypatch.setattr(os, "write", half)
    flight.writer.step(3 * SECOND_NS)
    monkeypatch.undo()
    assert flight.writer.degraded
    assert FlightReader(tmp_path).problems == (
        f"{segment_name(0)}: torn after {(tmp_path / segment_name(0)).stat().st_size} of "
        f"{(tmp_path / segment_name(0)).stat().st_size} bytes; everything before was read.",
    )
    flight.close()
    assert verify_flight(tmp_path).errors == ()
