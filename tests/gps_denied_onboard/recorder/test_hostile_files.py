"""Files that were bent or made to hurt: no crash, no hang, no memory beyond a bound."""

from __future__ import annotations

import functools
import struct
import subprocess
import sys
from pathlib import Path

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.recorder import container
from gps_denied_onboard.recorder.mcap_io import RecordingReader
from gps_denied_onboard.recorder.reader import FlightReader
from gps_denied_onboard.recorder.segment import segment_name
from gps_denied_onboard.recorder.verify import verify_flight

from .flights import SECOND_NS, Stepped, imu, navstate

QUIET = settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def read_all(folder: Path) -> None:
    """Everything that reads a flight; only a UserError may come out of it."""
    try:
        list(FlightReader(folder).records())
        list(RecordingReader(folder).events())
        assert verify_flight(folder).state in ("clean", "interrupted", "damaged", "failed")
    except UserError:
        pass


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Return a small closed flight's only segment."""
    folder = tmp_path_factory.mktemp("small")
    flight = Stepped(folder)
    for second in range(1, 4):
        for n in range(5):
            flight.client.record(imu(second * SECOND_NS + n))
        flight.client.record(navstate(second * SECOND_NS + 9))
        flight.writer.step(second * SECOND_NS)
    flight.close()
    return (folder / segment_name(0)).read_bytes()


@QUIET
@given(data=st.data())
def test_bent_segments(small: bytes, tmp_path: Path, data: st.DataObject) -> None:
    """Bytes replaced, removed and repeated anywhere."""
    bent = bytearray(small)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(bent)))
        until = min(at + data.draw(st.integers(0, 40)), len(bent))
        bent[at:until] = data.draw(st.one_of(st.binary(max_size=40), st.just(bytes(bent[: until - at] * 2))))
    (tmp_path / segment_name(0)).write_bytes(bent)
    read_all(tmp_path)


@QUIET
@given(
    records=st.lists(
        st.tuples(st.integers(0, 20), st.one_of(st.none(), st.integers(0, 2**64 - 1)), st.binary(max_size=200)),
        max_size=8,
    )
)
def test_made_up_records(tmp_path: Path, records: list[tuple[int, int | None, bytes]]) -> None:
    """Any sequence of outer records, with true lengths and with false ones."""
    body = container.MAGIC
    for opcode, length, content in records:
        body += struct.pack("<BQ", opcode, len(content) if length is None else length) + content
    (tmp_path / segment_name(0)).write_bytes(body)
    read_all(tmp_path)


@functools.cache
def two_gib_of_zeros() -> bytes:
    compressor = zstandard.ZstdCompressor(level=1).compressobj()
    return b"".join(compressor.compress(bytes(1 << 24)) for _ in range(128)) + compressor.flush()


def bomb(claims: int) -> bytes:
    """A chunk that unpacks to 2 GiB of zeros and claims another size."""
    packed = two_gib_of_zeros()
    content = struct.pack("<QQQII", 0, 1, claims, 0, 4) + b"zstd" + struct.pack("<Q", len(packed)) + packed
    return container.MAGIC + struct.pack("<BQ", container.CHUNK, len(content)) + content


@pytest.mark.parametrize("claims", [1000, 60 << 20, 1 << 40])
def test_a_bomb_does_not_go_off(tmp_path: Path, claims: int) -> None:
    """A chunk that unpacks to gigabytes is refused within a few hundred megabytes, whatever size it claims."""
    (tmp_path / segment_name(0)).write_bytes(bomb(claims))
    program = (  # ru_maxrss would count the parent's memory
        "import re, sys; from pathlib import Path\n"
        "from gps_denied_onboard.recorder.reader import FlightReader\n"
        "reader = FlightReader(Path(sys.argv[1])); assert list(reader.records()) == []; assert reader.problems\n"
        "print(re.search(r'VmHWM:\\s+(\\d+)', Path('/proc/self/status').read_text())[1])"
    )
    run = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert int(run.stdout) < 400_000
