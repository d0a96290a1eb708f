"""Warnings and errors of the log are in the recording; nothing else is, and the bridge does not feed itself."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from gps_denied_onboard.recorder.log_bridge import LogBridge
from gps_denied_onboard.recorder.reader import FlightReader

from .flights import Stepped


@pytest.fixture
def flight(tmp_path: Path) -> Iterator[Stepped]:
    """Return a stepped flight whose client is the log's."""
    stepped = Stepped(tmp_path)
    yield stepped
    stepped.writer.abandon()


def logged(flight: Stepped, folder: Path) -> list[tuple[str, str]]:
    flight.close()
    return [(m.level, m.event) for m in FlightReader(folder).messages({"log"})]


def test_warnings_and_worse_are_kept(flight: Stepped, tmp_path: Path) -> None:
    """DEBUG and INFO are not, of Python's logging nor of structlog."""
    bridge = LogBridge(flight.client, lambda: 5)
    logger = logging.Logger("somewhere", logging.DEBUG)
    logger.addHandler(bridge)
    for level in ("debug", "info", "warning", "error"):
        getattr(logger, level)("said at %s", level)
        assert bridge.processor(None, level, {"event": f"told at {level}", "why": 3}) == {
            "event": f"told at {level}",
            "why": 3,
        }
    expected = [(level, f"{verb} at {level}") for level in ("warning", "error") for verb in ("said", "told")]
    assert logged(flight, tmp_path) == expected


def test_the_recorder_does_not_record_itself(flight: Stepped, tmp_path: Path) -> None:
    """What the recorder logs of its troubles, and what is logged while a line is being recorded, stays outside."""
    bridge = LogBridge(flight.client, lambda: 5)
    own = logging.Logger("gps_denied_onboard.recorder.flight", logging.DEBUG)
    own.addHandler(bridge)
    own.error("the disk is full")

    class Loud:
        def __str__(self) -> str:
            bridge.processor(None, "error", {"event": "inside"})
            return "loud"

    bridge.processor(None, "error", {"event": "outside", "value": Loud()})
    assert logged(flight, tmp_path) == [("error", "outside")]


def test_a_long_line_is_cut_not_lost(flight: Stepped, tmp_path: Path) -> None:
    """A traceback of any length fits a slot of the ring: its end is kept."""
    bridge = LogBridge(flight.client, lambda: 5)
    bridge.processor(None, "error", {"event": "failed", "error": "x" * 100_000 + " the reason"})
    flight.close()
    (message,) = FlightReader(tmp_path).messages({"log"})
    assert message.fields["error"].endswith("the reason")
