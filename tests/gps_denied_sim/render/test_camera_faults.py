"""Which picture stands in which file while a camera repeats, tears, swaps or delays."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from gps_denied_sim.render.camera_faults import picture_files, picture_plans
from gps_denied_sim.scenarios import Event, Scenario, make_scenario

TIMES_S = [k + 0.5 for k in range(12)]


def exposed(t_s: float, _index: int) -> np.ndarray:
    """A grey picture that tells when it was taken: 20 levels a second."""
    return np.full((64, 96, 3), round(20.0 * (t_s - 0.5)), dtype=np.uint8)


def files(*events: Event) -> list[bytes]:
    """All files of a short flight with this schedule."""
    return list(picture_files(picture_plans(Scenario("x", events), TIMES_S, 3), exposed, 92, 3))


def shows(data: bytes, row: int = 0) -> float:
    """Second that a row of a file shows."""
    return float(cv2.imdecode(np.frombuffer(data, np.uint8), 0)[row].mean()) / 20.0


def test_without_faults_every_picture_is_its_own() -> None:
    """Each file shows its own second."""
    assert [round(shows(f)) for f in files()] == list(range(12))


def test_freeze_repeats_the_last_bytes() -> None:
    """From 4 s to 8 s the file of the last picture before is sent again, and then the camera goes on."""
    made = files(Event("camera_freeze", 4.0, 8.0))
    assert made[4] == made[5] == made[6] == made[7] == made[3]
    assert [round(shows(f)) for f in made[8:]] == [8, 9, 10, 11]


def test_freeze_encoded_anew_has_other_bytes() -> None:
    """The same picture, not the same file."""
    made = files(Event("camera_freeze", 4.0, 8.0, 1.0))
    assert len({made[3], made[4], made[5]}) == 3
    assert [round(shows(f)) for f in made[3:8]] == [3] * 5


def test_stutter_repeats_every_second() -> None:
    """New, old, new, old."""
    assert [round(shows(f)) for f in files(Event("camera_stutter", 2.0, 8.0))][2:8] == [2, 2, 4, 4, 6, 6]


def test_torn_picture_is_new_above_and_old_below() -> None:
    """The first row is of its own second, the last row of the second before, also in a row of torn pictures."""
    made = files(Event("camera_torn", 4.0, 7.0))
    assert [round(shows(made[k])) for k in (4, 5, 6)] == [4, 5, 6]
    assert [round(shows(made[k], 60)) for k in (4, 5, 6, 7)] == [3, 4, 5, 7]


@pytest.mark.parametrize(
    ("kind", "value", "shown"), [("camera_swap", 0.0, [5, 4, 7, 6]), ("camera_delay", 2.0, [2, 3, 4, 5])]
)
def test_order_and_delay(kind: str, value: float, shown: list[int]) -> None:
    """Swapped pictures come in pairs the wrong way round; late ones show what was two seconds before."""
    assert [round(shows(f)) for f in files(Event(kind, 4.0, 8.0, value))][4:8] == shown


def test_damaged_files_are_shorter() -> None:
    """All pictures of the window lose bytes where the share is one."""
    whole, made = files(), files(Event("camera_broken", 4.0, 8.0, 1.0))
    assert [len(a) < len(b) for a, b in zip(made, whole, strict=True)] == [4 <= k < 8 for k in range(12)]


def test_scenario_freezes_for_five_twenty_and_sixty_seconds() -> None:
    """A flight of ten minutes has all three lengths; odd seeds fly turns meanwhile."""
    scenario = make_scenario("frozen-camera", 1, 600.0)
    lengths = sorted(round(e.end_s - e.start_s) for e in scenario.events if e.kind == "camera_freeze")
    assert lengths == [5, 20, 60]
    assert scenario.route == "turns"
    assert make_scenario("frozen-camera", 2, 600.0).route == "search"
