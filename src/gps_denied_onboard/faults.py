"""The end of a command that met what nobody expected: one sentence for the user, the traceback into a file."""

from __future__ import annotations

import os
import tempfile
import traceback
from pathlib import Path

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.untrusted.limits import MEMORY_CODE, memory_sentence, no_memory

FAULT_CODE = 99
"""Exit code of a fault of the program itself."""


def told(error: BaseException, program: str) -> tuple[str, int]:
    """A sentence for the user, and the exit code, of an exception that reached the command line."""
    if isinstance(error, UserError):
        return str(error), error.exit_code
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{error.filename}: {error.strerror}; check the path, the free disk and your rights, then run again.", 2
    if no_memory(error):
        return memory_sentence(), MEMORY_CODE
    what = f"{type(error).__name__}: {str(error).splitlines()[0][:300]}" if str(error) else type(error).__name__
    return f"this is a fault of the program itself ({what}). {_kept(error, program)}", FAULT_CODE


def _kept(error: BaseException, program: str) -> str:
    """Put the traceback where it can be found; what to do with it."""
    text = "".join(traceback.format_exception(error))
    path = Path(tempfile.gettempdir()) / f"{program}-fault-{os.getpid()}.txt"
    try:
        with path.open("x", encoding="utf-8") as stream:
            stream.write(text)
    except OSError:
        frame = traceback.extract_tb(error.__traceback__)[-1:]
        where = f"{Path(frame[0].filename).name}:{frame[0].lineno}" if frame else "an unknown place"
        return f"It happened in {where}; report it with the command that you gave."
    return f"Report it with {path} and the command that you gave."
