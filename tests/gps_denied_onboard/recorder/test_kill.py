"""A recorder that is killed at any moment: what was on the disk stands, and verification says what it is."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from .kills import check, kill_at, nursery


def test_what_was_written_survives_a_kill(tmp_path: Path) -> None:
    """At ten moments, from the first record to after the end: no gap, no damage, clean only what was closed."""
    rng = random.Random(7)
    with nursery() as process:
        for killed in kill_at(process, tmp_path, [0.0, *(rng.uniform(0.0, 0.9) for _ in range(9))], "imu", 0.7):
            check(killed)


@pytest.mark.slow
@pytest.mark.parametrize("what", ["imu", "bulk"])
def test_a_hundred_kills_never_cost_more_than_a_second(tmp_path: Path, what: str) -> None:
    """At random moments, while segments are opened and closed too, at most the last second is lost."""
    rng = random.Random(8)
    lost_s = []
    with nursery() as process:
        for batch in range(20):
            folder = tmp_path / str(batch)
            folder.mkdir()
            for killed in kill_at(process, folder, [rng.uniform(0.0, 3.0) for _ in range(5)], what, 2.7):
                times = check(killed)
                lost_s.append((killed.newest_ns - times[-1]) / 1e9 if times else 0.0)
    assert len(lost_s) == 100
    assert max(lost_s) <= 1.0
