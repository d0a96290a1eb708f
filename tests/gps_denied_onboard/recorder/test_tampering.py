"""Verification does not lie: whatever is changed in a closed flight is found."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest

from gps_denied_onboard.recorder import container
from gps_denied_onboard.recorder.chain import FlightKey
from gps_denied_onboard.recorder.segment import segment_name
from gps_denied_onboard.recorder.verify import verify_flight

from .flights import SECOND_NS, Stepped, bulk, imu, navstate


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a clean flight of three segments or more."""
    folder = tmp_path_factory.mktemp("closed") / "flight"
    flight = Stepped(folder, slots=256, segment_mib=1)
    for second in range(1, 40):
        for n in range(50):
            flight.client.record(bulk(second * SECOND_NS + n))
        flight.client.record(navstate(second * SECOND_NS + 2000))
        flight.writer.step(second * SECOND_NS)
    flight.close()
    assert len(list(folder.iterdir())) >= 3
    verdict = verify_flight(folder)
    assert (verdict.state, verdict.errors, verdict.notes) == ("clean", (), ())
    return folder


@pytest.fixture
def copy(closed: Path, tmp_path: Path) -> Path:
    """Return a copy that may be changed."""
    return Path(shutil.copytree(closed, tmp_path / "flight"))


@pytest.mark.slow
def test_any_changed_byte_is_found(copy: Path) -> None:
    """One bit of any byte of any segment, head, chunk, index and signature alike."""
    rng = random.Random(5)
    for _ in range(24):
        path = rng.choice(sorted(copy.iterdir()))
        whole = path.read_bytes()
        bent = bytearray(whole)
        bent[rng.randrange(len(bent))] ^= 1 << rng.randrange(8)
        path.write_bytes(bent)
        assert verify_flight(copy).state != "clean"
        path.write_bytes(whole)
    assert verify_flight(copy).state == "clean"


@pytest.mark.parametrize(("gone", "says"), [(0, "there is no header"), (1, "segment 1 is missing")])
def test_a_missing_segment_is_found(copy: Path, gone: int, says: str) -> None:
    """The chain names what is not there."""
    (copy / segment_name(gone)).unlink()
    verdict = verify_flight(copy)
    assert verdict.state == "damaged"
    assert any(says in error for error in verdict.errors)


def test_a_cut_end_is_never_clean(copy: Path) -> None:
    """Without its last segment, or its last bytes, a flight is called interrupted: that is all that can be known."""
    last = max(copy.iterdir())
    whole = last.read_bytes()
    for size in (len(whole) - 1, len(whole) // 2):
        last.write_bytes(whole[:size])
        assert verify_flight(copy).state in ("interrupted", "damaged")
    last.unlink()
    verdict = verify_flight(copy)
    assert verdict.state == "interrupted"
    assert any("ends without a footer" in note for note in verdict.notes)


def test_a_forged_segment_is_found(copy: Path, tmp_path: Path) -> None:
    """A last segment that somebody writes anew, well formed and signed with another key, is not the flight's."""
    forged = Stepped(tmp_path / "forged", segment_mib=1)
    forged.client.record(imu(1))
    forged.close()
    shutil.copy(tmp_path / "forged" / segment_name(0), max(copy.iterdir()))
    assert verify_flight(copy).state == "damaged"


def test_a_resealed_segment_is_found(copy: Path) -> None:
    """Changing the public key everywhere does not help: the signatures are of the old one."""
    other = FlightKey().public.encode()
    for path in copy.iterdir():
        data = path.read_bytes()
        with path.open("rb") as stream:
            place = next(p for p in container.places(stream, len(data)) if p.opcode == container.METADATA)
            _, entries = container.metadata(container.content(stream, place))
        path.write_bytes(data.replace(entries["public_key"].encode(), other))
    verdict = verify_flight(copy)
    assert verdict.state == "damaged"
    assert any("another key" in error or "not what was recorded" in error for error in verdict.errors)
