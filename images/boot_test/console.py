"""An emulated machine's console: what must appear on it."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

from boot_test.machine import Machine

NOISE = re.compile(r"Job .* running \(")


def watch(
    machine: Machine,
    wanted: dict[str, str],
    limit_s: float,
    too: Callable[[], bool] = lambda: True,
    note: Callable[[str], None] = lambda _line: None,
) -> list[str]:
    """Print the console until everything wanted was seen and `too` holds; returns what was not.

    Each line goes to `note`, too. Ends the machine.
    """
    missing, begin_s = dict(wanted), time.monotonic()
    try:
        for line in machine.lines(limit_s):
            note(line)
            if line.strip() and not NOISE.search(line):
                print(f"{time.monotonic() - begin_s:7.1f} {line}", flush=True)
            missing = {what: pattern for what, pattern in missing.items() if not re.search(pattern, line)}
            if not missing and too():
                break
    except TimeoutError as error:
        missing["in time"] = str(error)
    finally:
        machine.close()
    return [f"not seen: {what}" for what in missing]
