"""A command that opens files of others runs in a child process with limits of memory and time; its parent tells them.

A limit inside one process cannot be relied on: a library that spins, or that ends the process where it gets no memory,
leaves nobody to say so.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gps_denied_onboard.errors import UserError

MEMORY_CODE = 71
TIME_CODE = 72
MEMORY_VARIABLE = "GPS_DENIED_MEMORY_MB"
TIME_VARIABLE = "GPS_DENIED_TIME_S"
GRACE_S = 20.0
"""After the limit of time: to leave stores and files whole."""
MEMORY_MB_MIN = 256
_INPUT_ENTRIES_MAX = 200_000
_PR_SET_PDEATHSIG = 1
_HEARD = {signal.SIGCHLD, signal.SIGINT, signal.SIGTERM, signal.SIGHUP}


@dataclass(frozen=True, slots=True)
class Limits:
    """What a command may take: MB of memory of each of its processes, and seconds, more of them for each MB of input.

    Of no limit of time where `time_s` is infinite.
    """

    memory_mb: int
    time_s: float
    time_s_per_mb: float


class MemoryLimitError(UserError):
    """A command was ended for want of memory."""

    exit_code = MEMORY_CODE


class TimeLimitError(UserError):
    """A command was ended at its limit of time."""

    exit_code = TIME_CODE


class CommandCrashedError(UserError):
    """A library ended the process: a fault, which the file that was opened may have been made for."""

    exit_code = 99


def run_limited(limits: Limits, arguments: Sequence[str]) -> None:
    """Go on in a child process under the limits: only there does this return.

    In the parent it ends by SystemExit with the child's exit code, or raises MemoryLimitError, TimeLimitError or
    CommandCrashedError. `arguments`: those of the command; the files and folders that they name are its input. To be
    called before any thread is started.
    """
    memory_mb = round(_asked(MEMORY_VARIABLE, limits.memory_mb))
    time_s = _asked(TIME_VARIABLE, limits.time_s + limits.time_s_per_mb * _input_mb(arguments))
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _HEARD)
    sys.stdout.flush()
    sys.stderr.flush()
    parent = os.getpid()
    child = os.fork()
    if child == 0:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it ended in between
            os._exit(1)
        hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
        soft = memory_mb << 20 if hard == resource.RLIM_INFINITY else min(memory_mb << 20, hard)
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))
        # Of the time alone: ctrl-C may be ignored (nohup, a script's background), the limit may not.
        signal.signal(signal.SIGXCPU, signal.default_int_handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return
    late, status = _waited(child, time_s)
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    ended_well = os.WIFEXITED(status) and os.WEXITSTATUS(status) == 0
    if late and not ended_well:
        raise TimeLimitError(
            f"it was ended after the {time_s:.0f} s that it may take with what it was given; what was stored stays "
            f"whole. Give less at once, or set {TIME_VARIABLE} to more seconds if you trust the files."
        )
    if os.WIFSIGNALED(status):
        raise _killed(os.WTERMSIG(status))
    raise SystemExit(os.WEXITSTATUS(status))


def no_memory(error: BaseException) -> bool:
    """Whether an exception says that memory ran out, in Python's or OpenCV's words (StsNoMem)."""
    return isinstance(error, MemoryError) or (type(error).__module__ == "cv2" and getattr(error, "code", 0) == -4)


def memory_sentence() -> str:
    """What to tell the user when memory ran out."""
    soft = resource.getrlimit(resource.RLIMIT_DATA)[0]
    if soft == resource.RLIM_INFINITY:
        return "there is not enough memory for this; close other programs, or give it less at once."
    return (
        f"it needs more than the {soft >> 20} MB of memory that it may take. Give less at once, or set "
        f"{MEMORY_VARIABLE} to more if you trust the files."
    )


def _waited(child: int, time_s: float) -> tuple[bool, int]:
    """Wait for the child's end, and hand on what ends this process; whether the time passed, and the status.

    The child is this process's own until it is waited for, so its number is nobody else's.
    """
    end_s, late = time.monotonic() + time_s, False
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return late, status
        left_s = min(end_s - time.monotonic(), 3600.0)
        if left_s <= 0.0:
            os.kill(child, signal.SIGKILL if late else signal.SIGXCPU)
            end_s, late = time.monotonic() + GRACE_S, True
            continue
        heard = signal.sigtimedwait(_HEARD, left_s)
        if heard is not None and heard.si_signo != signal.SIGCHLD and heard.si_code <= 0:
            os.kill(child, heard.si_signo)  # the terminal's own ctrl-C reaches the child as well as this process


def _killed(number: int) -> UserError:
    if number == signal.SIGKILL:
        return MemoryLimitError(f"it was killed from outside, probably for want of memory: {memory_sentence()}")
    if number in {signal.SIGTERM, signal.SIGHUP, signal.SIGINT}:
        raise SystemExit(128 + number)
    name = signal.strsignal(number) or "unknown"
    return CommandCrashedError(
        f"a library ended it (signal {number}, {name}), for want of memory or by a fault that a damaged file or one "
        "made for it can set off; nothing was told about the file. Leave that file out, or get it anew."
    )


def _asked(variable: str, otherwise: float) -> float:
    text = os.environ.get(variable, "")
    if not text:
        return otherwise
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    least = MEMORY_MB_MIN if variable == MEMORY_VARIABLE else 1.0
    if not least <= value <= 1e9:
        raise UserError(f"{variable} is '{text[:40]}': give a number from {least:.0f}, or leave it out.")
    return value


def _input_mb(arguments: Sequence[str]) -> float:
    """Size of the files, and of those in the folders, that arguments name, also behind `--option=`."""
    total, left = 0, _INPUT_ENTRIES_MAX
    for argument in arguments:
        name = argument.partition("=")[2] if argument.startswith("--") else argument
        if not name:
            continue
        path = Path(name)
        try:
            if path.is_dir():
                for folder, _, names in os.walk(path):
                    left -= len(names) + 1
                    if left < 0:
                        break
                    total += sum(os.lstat(os.path.join(folder, entry)).st_size for entry in names)
            elif path.is_file():
                total += path.stat().st_size
        except (OSError, ValueError):
            continue
    return total / 1e6
