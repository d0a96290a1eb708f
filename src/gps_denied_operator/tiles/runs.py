"""A run's traces beside the store: a log of JSON lines with secrets taken out, and a report."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gps_denied_onboard.atomic_file import replace_whole
from gps_denied_onboard.errors import UserError
from gps_denied_onboard.untrusted import UntrustedError
from gps_denied_onboard.untrusted.bounded import read_file

FOLDER = "reports"
HIDDEN = "***"
KEY_BYTES_MAX = 64 * 1024
KEY_VARIABLE = "GPS_DENIED_PROVIDER_KEY"


def provider_key(key_file: Path | None) -> str:
    """Return the provider's API key from a file or GPS_DENIED_PROVIDER_KEY; '' without one. Never from the command."""
    if key_file is None:
        return os.environ.get(KEY_VARIABLE, "").strip()
    try:
        key = read_file(key_file, KEY_BYTES_MAX).decode("utf-8").strip()
    except (OSError, UnicodeDecodeError, UntrustedError) as error:
        raise UserError(f"The key file {key_file} cannot be read ({error}); give one with the key alone.") from error
    if not key or not key.isascii() or not key.isprintable():
        raise UserError(f"The key file {key_file} does not hold one line of plain text; put the key alone into it.")
    return key


class _JsonLines(logging.Formatter):
    def __init__(self, secrets: Sequence[str]) -> None:
        super().__init__()
        self._secrets = [secret for secret in secrets if secret]

    def format(self, record: logging.LogRecord) -> str:
        message = record.getMessage()
        if record.exc_info:
            message += "\n" + self.formatException(record.exc_info)
        for secret in self._secrets:
            message = message.replace(secret, HIDDEN)
        moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        return json.dumps({"time": moment, "level": record.levelname, "logger": record.name, "event": message})


@contextmanager
def traced_run(root: Path, kind: str, secrets: Sequence[str]) -> Iterator[Path]:
    """Log the project's messages into `<root>/reports/<kind>-<time>.log.jsonl`; give the path of the run's report."""
    folder = root / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    handler = logging.FileHandler(folder / f"{kind}-{stamp}.log.jsonl", encoding="utf-8")
    handler.setFormatter(_JsonLines(secrets))
    loggers = [logging.getLogger(name) for name in ("gps_denied_onboard", "gps_denied_operator")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
    try:
        yield folder / f"{kind}-{stamp}.json"
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.removeHandler(handler)
            logger.setLevel(level)
        handler.close()


def write_report(path: Path, report: Mapping[str, Any]) -> None:
    """Write a report whole or not at all."""
    replace_whole(path, f"{json.dumps(report, indent=2)}\n".encode())
