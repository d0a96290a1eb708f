"""The folder that an evaluation writes: results appear complete or not at all, recordings in it are kept for next time.

Unlike recorder.output_folder the folder as a whole is not swapped: simulated flights are dear, and those that are
finished stay when a run is stopped.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import orjson

from gps_denied_onboard.atomic_file import replace_whole
from gps_denied_onboard.errors import UserError
from gps_denied_onboard.recorder.output_folder import MARKER_FILE, refuse_foreign
from gps_denied_onboard.untrusted import UntrustedError
from gps_denied_onboard.untrusted.bounded import read_file
from gps_denied_onboard.untrusted.json import of_kind, read_json
from gps_denied_onboard.untrusted.text import shown
from gps_denied_operator.evaluate.configuration import SHA256, SHORT

KIND = "evaluation"
LOCK_FILE = ".lock"
RECORDINGS = "recordings"
REPLAYS = "replays"
RESULTS_FILE = "results.json"
FILES = ("report.html", RESULTS_FILE, "frames.csv")
RESULTS_BYTES_MAX = 256 << 20
RESULTS_VALUES_MAX = 20_000_000


class ResultsFolder:
    """Context manager for `--out DIR`: refuses a folder of something else and a second run at the same time.

    UserError when the folder is not an evaluation's, another run has it, or the disk is full. What an earlier run left
    stays until `publish`; a folder that this run made goes again if nothing was put in it.
    """

    def __init__(self, target: Path) -> None:
        from filelock import FileLock

        self.path = Path(os.path.abspath(target))
        self._lock = FileLock(self.path / LOCK_FILE)
        self._made = False

    def __enter__(self) -> ResultsFolder:
        from filelock import Timeout

        refuse_foreign(self.path, KIND)
        try:
            self._made = not self.path.exists()
            self.path.mkdir(parents=True, exist_ok=True)
            entries = sorted([LOCK_FILE, RECORDINGS, REPLAYS, *FILES, *map(partial_name, FILES)])
            marker = {"kind": KIND, "entries": entries}
            replace_whole(self.path / MARKER_FILE, orjson.dumps(marker, option=orjson.OPT_APPEND_NEWLINE))
            self._lock.acquire(timeout=0)
        except Timeout:
            raise UserError(f"another run is writing {self.path}; wait for it, or give --out another folder.") from None
        except OSError as error:
            raise self.explained(error) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for name in FILES:
            (self.path / partial_name(name)).unlink(missing_ok=True)
        (self.path / LOCK_FILE).unlink(missing_ok=True)
        self._lock.release()
        for name in (RECORDINGS, REPLAYS):
            if (self.path / name).is_dir() and not any((self.path / name).iterdir()):
                (self.path / name).rmdir()
        holds = {entry.name for entry in self.path.iterdir()} - {MARKER_FILE}
        if self._made and error is not None and not holds:
            shutil.rmtree(self.path, ignore_errors=True)
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise self.explained(error) from error

    def keep_others(self, evaluation: str, configuration_sha256: str, replace: bool) -> None:
        """UserError where a result of another evaluation or configuration lies here, unless it is to be replaced.

        `configuration_sha256` is empty where the evaluation takes no configuration.
        """
        if replace or not (self.path / RESULTS_FILE).is_file():
            return
        try:
            held = read_results(self.path / RESULTS_FILE)
        except (OSError, UntrustedError):
            held = {}
        there, sha256 = held.get("evaluation"), held.get(SHA256, "")
        if there == evaluation and sha256 == configuration_sha256:
            return
        if isinstance(there, str) and there != evaluation:
            what = f"a result of `evaluate {shown(there, 20)}`"
        elif not isinstance(sha256, str) or not sha256:
            what = "a result that does not name its configuration (of an earlier version, or damaged)"
        else:
            what = f"the result of another configuration ({shown(sha256, SHORT)}, now {configuration_sha256[:SHORT]})"
        raise UserError(f"{self.path} holds {what}: give --out another folder, or --replace to write over it.")

    def publish(self, files: Mapping[str, bytes]) -> None:
        """Put the result files in place: all are written first, then renamed."""
        assert set(files) <= set(FILES)
        try:
            for name, content in files.items():
                write_flushed(self.path / partial_name(name), content)
            for name in files:
                os.replace(self.path / partial_name(name), self.path / name)
        except OSError as error:
            raise self.explained(error) from error

    def explained(self, error: OSError) -> UserError:
        """The sentence for an OSError."""
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return UserError(
                f"the disk of {self.path} is full; no result was written. "
                "Free some space or give --out on another disk."
            )
        if error.errno in (errno.EEXIST, errno.ENOTDIR):
            return UserError(f"cannot make {self.path}: a part of that path is a file; give another --out.")
        return UserError(f"cannot write {self.path}: {error.strerror or error}; give another --out.")


def partial_name(name: str) -> str:
    """Name under which a result file is written before it is complete."""
    return f".{name}.partial"


def write_flushed(path: Path, content: bytes) -> None:
    """Write a file and its bytes to the disk."""
    with path.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())


def read_results(path: Path) -> dict[str, Any]:
    """The object of a results.json, which anyone may have made. UntrustedError where it is none; OSError as `open`."""
    data = read_file(path, RESULTS_BYTES_MAX)
    tree = read_json(data, shown(path), RESULTS_BYTES_MAX, values_max=RESULTS_VALUES_MAX)
    return of_kind(tree, dict, shown(path))
