"""What happened in a flight, told from its recording: when, by how much, who was followed, why it came back."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from dataclasses import replace
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from gps_denied_onboard.geometry.geodesy import LocalFrame
from gps_denied_onboard.messages import (
    AidRecord,
    AidSource,
    Alert,
    GpsHealth,
    GpsSample,
    NavState,
    PositionSource,
    SourceLabel,
)
from gps_denied_onboard.recorder.meta import read_meta
from gps_denied_onboard.recorder.reader import FlightReader
from gps_denied_operator.report.chapters import chapters, summary
from gps_denied_operator.report.recorded import read_recorded
from gps_denied_operator.report.story import HEALTHS, LEVELS, SOURCES, Story, is_measurement, story_of, utc_of
from gps_denied_operator.report.verdict import GOOD, NONE, WARN

from .recordings import BACK_S, EAST_M, FORGED_S, GOOD_S, SECOND_NS, blind_flight, forged_flight

UTC_2026_NS = 1_775_038_500 * SECOND_NS


def read(folder: Path) -> Story:
    return read_recorded(FlightReader(folder), read_meta(folder), None, lambda _done: None).story


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory, make_state: Callable[..., NavState], origin: LocalFrame) -> Story:
    """Return the story of the forged flight."""
    return read(forged_flight(tmp_path_factory.mktemp("flights"), make_state, origin))


def gps(t_s: float, health: GpsHealth, why: str = "", off_m: float = 1.0, ratio: float = 0.1) -> AidRecord:
    reason = health.value + (f": {why}" if why else "")
    return AidRecord(round(t_s * 1e9), "gps", (), (), (off_m, 0.0), (9.0, 9.0), ratio, True, reason)


def test_spans_are_those_of_the_flight(story: Story) -> None:
    """Health, source and failsafe change when they did; each strip covers the whole flight without a hole."""
    health = [(HEALTHS[s.value].value, s.start_ns / 1e9) for s in story.health]
    assert health == [
        ("UNKNOWN", 1.0), ("STABLE_NON_SPOOFED", 5.0), ("SPOOFED", FORGED_S), ("STABLE_NON_SPOOFED", GOOD_S)
    ]  # fmt: skip
    source = [(SOURCES[s.value].value, s.start_ns / 1e9) for s in story.source]
    assert source == [("companion", 1.0), ("gps", 20.0), ("companion", FORGED_S), ("gps", BACK_S)]
    for spans in (story.health, story.source, story.failsafe):
        assert all(a.end_ns == b.start_ns for a, b in itertools.pairwise(spans))
        assert (spans[0].start_ns, spans[-1].end_ns) == (story.start_ns, story.end_ns)


def test_the_chapters_tell_when_how_far_and_why(story: Story) -> None:
    """Forged, left, taken back: in UTC, with metres and bearing, the reason in words, and the proof of the return."""
    told = {c.title: c for c in chapters(story)}
    assert list(told) == ["GPS taken into use", "GPS forged", "GPS left", "GPS taken back"]
    forged = told["GPS forged"].text
    assert f"{EAST_M:.0f} m to the east (90°)" in forged
    assert "jumped further than its own velocity explains" in forged
    assert "until 10:16:11.0 UTC" in forged
    assert "last contradicted our position at 10:16:09.5 UTC" in forged
    assert "as soon as the verdict was “SPOOFED”" in told["GPS left"].text
    assert "lay 0.5 m from a satellite fix (test ratio 0.01, limit 1)" in told["GPS taken back"].text
    assert "for 10.5 s" in told["GPS taken back"].text
    level, sentence = summary(story)
    assert level == WARN
    assert sentence.startswith("GPS forged from 10:15:40.0 UTC to 10:16:11.0 UTC, 600 m off.")
    assert "taken back at 10:16:21.5 UTC" in sentence


def test_a_slow_forgery_tells_how_long_it_went_unseen() -> None:
    """The distance grows for ten seconds before the verdict: that is said."""
    records = [gps(t / 5.0, GpsHealth.STABLE_NON_SPOOFED, off_m=max(0.0, t / 5.0 - 20.0) * 3.0) for t in range(150)]
    records += [gps(30.0 + t / 5.0, GpsHealth.SPOOFED, "drift", 31.0, 2.0) for t in range(50)]
    (forged,) = (c for c in chapters(story_of(records, (0, 40 * SECOND_NS))) if c.title == "GPS forged")
    assert "more than 8 m from our position for 7.2 s by then" in forged.text
    assert "until 40.0 s" in forged.text  # no UTC is known: seconds


@pytest.mark.parametrize("sent", [False, True])
def test_a_gps_given_back_is_no_decision_of_the_gate(sent: bool, make_state: Callable[..., NavState]) -> None:
    """Left by our word alone, given back once our own state is in doubt: told as that, by records and by positions."""
    health = [GpsHealth.STABLE_NON_SPOOFED] * 20 + [GpsHealth.SPOOFED] * 6 + [GpsHealth.UNKNOWN] * 4
    records: list[AidRecord | NavState] = [gps(float(t), word) for t, word in enumerate(health)]

    def decided(t_s: float, source: AidSource, accepted: bool, why: str) -> AidRecord:
        return AidRecord(round(t_s * 1e9), source, (), (), (), (), 0.0, accepted, why)

    records += [
        decided(5.0, AidSource.GPS_GATE, True, "agrees"),
        decided(20.0, AidSource.POSITION_SOURCE, False, "companion: GPS SPOOFED: drift"),
        decided(26.0, AidSource.POSITION_SOURCE, True, "gps: given back, our own state is in doubt"),
    ]
    if sent:
        for tenth in range(300):
            followed = 50 <= tenth < 200 or tenth >= 260
            source = PositionSource.GPS if followed else PositionSource.COMPANION
            records.append(replace(make_state(tenth * SECOND_NS // 10, np.zeros(3)), position_source=source))
    made = story_of(records, (0, 30 * SECOND_NS))
    assert [SOURCES[span.value].value for span in made.source] == ["companion", "gps", "companion", "gps"]
    told = {c.title: c for c in chapters(made)}
    assert set(told) == {"GPS taken into use", "GPS forged", "GPS left", "GPS given back"}
    assert (told["GPS given back"].level, told["GPS given back"].t_ns) == (WARN, 26 * SECOND_NS)
    assert "no satellite fix was asked" in told["GPS given back"].text
    level, sentence = summary(made)
    assert level == WARN
    assert "It was given back at 26.0 s: our own position was in doubt." in sentence


def test_silence_and_poor_quality_are_no_forgery() -> None:
    """A receiver that says nothing for long is not usable from a second on, and back when it is heard."""
    records = [gps(t, GpsHealth.STABLE_NON_SPOOFED) for t in (0.0, 1.0, 2.0, 12.0, 13.0)]
    made = story_of(records, (0, 14 * SECOND_NS))
    assert [(s.start_ns / 1e9, HEALTHS[s.value].value) for s in made.health] == [
        (0.0, "STABLE_NON_SPOOFED"), (3.0, "DEGRADED"), (12.0, "STABLE_NON_SPOOFED"),
    ]  # fmt: skip
    level, sentence = summary(made)
    assert (level, "not usable for 9.0 s" in sentence, "nothing was heard of it" in sentence) == (WARN, True, True)
    assert summary(story_of(records[:3], (0, 3 * SECOND_NS)))[0] == GOOD
    assert summary(story_of([Alert(0, 5, "x")], (0, SECOND_NS))) == (NONE, "The aircraft's GPS was not heard.")


def test_inputs_alone_make_no_decision_up() -> None:
    """A recording of inputs, which nothing has flown by, has no health, no source and no failsafe level."""
    sample = GpsSample(5, 48.0, 37.0, 0.0, (0.0, 0.0, 0.0), 3, 9, 1.0)
    made = story_of([sample], (0, SECOND_NS))
    assert (made.health, made.source, made.failsafe, len(made.receiver)) == ((), (), (), 1)
    assert "holds inputs only" in summary(made)[1]
    assert chapters(made) == []


def test_a_flight_without_a_position_has_a_story(tmp_path: Path, origin: LocalFrame) -> None:
    """Rows by picture and second, the receiver's track, the alert; the failsafe level is "no position" throughout."""
    folder = blind_flight(tmp_path, origin)
    recorded = read_recorded(FlightReader(folder), read_meta(folder), None, lambda _done: None)
    assert (recorded.placed, len(recorded.rows) >= 60) == (False, True)
    assert len(recorded.story.receiver) == 60
    assert [alert.text for alert in recorded.story.alerts] == ["NO_ESTIMATE_TIMEOUT"]
    assert [span.value for span in recorded.story.failsafe] == [3]


def test_what_frames_together_decided_is_shown(
    tmp_path: Path, make_state: Callable[..., NavState], origin: LocalFrame
) -> None:
    """A fix that its own picture refused, and frames together accepted, stands as accepted."""
    shown = []
    for name, believed_s in (("alone", None), ("together", 50.0)):
        folder = forged_flight(tmp_path / name, make_state, origin, believed_s=believed_s)
        rows = read_recorded(FlightReader(folder), read_meta(folder), None, lambda _done: None).rows
        shown.append([row.fix.accepted for row in rows if row.fix is not None and row.fix.t_ns == 50 * SECOND_NS])
    assert shown == [[False], [True]]


def test_utc_comes_from_the_best_clock_and_a_step_is_told() -> None:
    """The recording's own, else the companion's where it was ever set, else the receiver's claim, else none."""
    clocks = [(t * SECOND_NS, UTC_2026_NS + t * SECOND_NS) for t in range(10)]
    sample = GpsSample(5 * SECOND_NS, 48.0, 37.0, 0.0, (0.0, 0.0, 0.0), 3, 9, 1.0, utc_ns=UTC_2026_NS + 9 * SECOND_NS)
    assert utc_of(clocks, [sample], UTC_2026_NS - 7)[0] == UTC_2026_NS - 7
    assert utc_of(clocks, [sample], None) == (UTC_2026_NS, "the companion's clock", "")
    stepped = [*clocks[:3], *((t, utc + 60 * SECOND_NS) for t, utc in clocks[3:])]
    assert "set by 60.0 s" in utc_of(stepped, [], None)[2]
    never_set = [(t, utc - UTC_2026_NS) for t, utc in clocks]
    assert utc_of(never_set, [sample], 0) == (
        UTC_2026_NS + 4 * SECOND_NS, "the GPS receiver's claim", "No other clock knew the time."
    )  # fmt: skip
    assert utc_of(never_set, [replace(sample, utc_ns=0)], None)[0] is None


def test_only_what_could_be_fused_is_a_measurement() -> None:
    """Decisions and the watched GPS are none; what this version does not know is shown."""
    record = gps(1.0, GpsHealth.SPOOFED)
    fused = {"imu", "origin", "baro", "airspeed", "rangefinder", "attitude", "odometry", "fix"}
    assert {source for source in AidSource if is_measurement(replace(record, source=source))} == fused
    assert is_measurement(replace(record, source="some_new_sensor"))
    assert not is_measurement(replace(record, source="eskf"))


def test_what_is_odd_does_not_break_a_story() -> None:
    """Unknown health words, numbers that are none, records out of order: a story comes out all the same."""
    odd = [
        AidRecord(3, "gps", (), (), (float("nan"), 1.0), (1.0, 1.0), float("inf"), False, "MELTED: strange"),
        AidRecord(1, "gps", (), (), (), (), 0.0, False, ""),
        AidRecord(2, "gps_gate", (), (), (), (), float("inf"), False, "no GPS sample at the time of the satellite fix"),
        Alert(2, 99, "odd"),
    ]
    made = story_of(odd, (1, 3))
    assert np.isfinite([span.start_ns for span in made.health]).all()
    assert [c.title for c in chapters(made)] == ["GPS refused by the gate"]
    assert made.distances == ()


def test_the_page_has_a_word_for_every_value() -> None:
    """The script's names stand in the order of the enumerations, one for each of their values."""
    script = resources.files("gps_denied_operator.report").joinpath("page", "base.js").read_text(encoding="utf-8")
    words = {name: re.findall(r'"([^"]+)"', line) for name, line in re.findall(r"const ([A-Z_]+) = \[(.+)\];", script)}
    assert [word.split(",")[0] for word in words["HEALTH_NAMES"]] == [
        health.value.lower().split("_")[0] for health in HEALTHS
    ]
    assert [word.lower() for word in words["SOURCE_NAMES"]] == [source.value for source in SOURCES]
    assert [word.replace(" ", "_") for word in words["LABEL_NAMES"]] == [label.value for label in SourceLabel]
    assert len(words["LEVEL_NAMES"]) == len(LEVELS)
    assert len(words["SEVERITIES"]) == 8
