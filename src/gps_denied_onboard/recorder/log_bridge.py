"""Warnings and errors of the log, into the recorder as well; never what the recorder itself says of its troubles."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any

from gps_denied_onboard.recorder.client import RecorderClient
from gps_denied_onboard.recorder.records import LogRecord

RECORDER_LOGGER = "gps_denied_onboard.recorder"
BRIDGED = ("warning", "error", "critical")
FIELD_CHARACTERS = 2000


class LogBridge(logging.Handler):
    """A handler of Python's logging, and (`processor`) a processor of structlog. Any thread may log.

    A log line that is written while one is being recorded by the same thread is not recorded: recording must not feed
    itself. DEBUG and INFO never are.
    """

    def __init__(self, client: RecorderClient, clock_ns: Callable[[], int]) -> None:
        super().__init__(logging.WARNING)
        self._client = client
        self._clock_ns = clock_ns
        self._one_at_a_time = threading.Lock()  # the ring has one producer: whoever logs now
        self._inside = threading.local()

    def emit(self, record: logging.LogRecord) -> None:
        """See logging.Handler."""
        if not record.name.startswith(RECORDER_LOGGER):
            fields = {"logger": record.name}
            if record.exc_info:
                fields["error"] = logging.Formatter().formatException(record.exc_info)
            self._record(record.levelname.lower(), record.getMessage(), fields)

    def processor(self, _logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        """For structlog: records the line and hands it on."""
        level = "warning" if method == "warn" else "error" if method == "exception" else method
        if level in BRIDGED:
            self._record(level, str(event.get("event", "")), {k: v for k, v in event.items() if k != "event"})
        return event

    def _record(self, level: str, text: str, fields: Mapping[str, Any]) -> None:
        if getattr(self._inside, "busy", False):
            return
        self._inside.busy = True
        try:
            plain = {key: str(value)[-FIELD_CHARACTERS:] for key, value in fields.items()}
            with self._one_at_a_time:
                self._client.record(LogRecord(self._clock_ns(), level, text[:FIELD_CHARACTERS], plain))
        finally:
            self._inside.busy = False
