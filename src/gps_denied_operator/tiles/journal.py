"""What a download has learnt and done so far, line by line, so that an interrupted run goes on where it stopped.

First line: the request. Then pages of offers, then outcomes of tiles. A torn last line is dropped.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from gps_denied_onboard.atomic_file import replace_whole
from gps_denied_onboard.untrusted.folders import is_plain
from gps_denied_operator.tiles.feeds import Offer

KEPT_S = 24 * 3600.0


class Journal:
    """The journal of one request beside a store. `pages` says how many pages of offers are complete."""

    def __init__(self, root: Path, request: Mapping[str, Any], now_s: float) -> None:
        """Take up the journal of the same request, if it is not older than a day, else begin a new one."""
        head = json.dumps({"request": dict(request)}, sort_keys=True)
        self._path = root / f".download-{hashlib.sha256(head.encode()).hexdigest()[:16]}.jsonl"
        self.pages = 0
        self.outcomes: dict[str, set[tuple[int, int]]] = {}
        self.resumed = is_plain(self._path) and now_s - self._path.stat().st_mtime < KEPT_S and self._load(head)
        if not self.resumed:
            replace_whole(self._path, f"{head}\n".encode())
        self._file = open(self._path, "a", encoding="utf-8")  # noqa: SIM115 (closed by close)

    def _load(self, head: str) -> bool:
        good_bytes = 0
        with open(self._path, "rb") as file:
            for number, line in enumerate(file):
                if not line.endswith(b"\n"):
                    break
                try:
                    entry = json.loads(line)
                except ValueError:
                    break
                if number == 0 and line.decode() != head + "\n":
                    return False
                if "page" in entry:
                    self.pages += 1
                for outcome, places in entry.get("done", {}).items():
                    self.outcomes.setdefault(outcome, set()).update((x, y) for x, y in places)
                good_bytes += len(line)
        os.truncate(self._path, good_bytes)
        return good_bytes > 0

    def add_page(self, offers: Sequence[Offer]) -> None:
        rows = [
            [o.x, o.y, o.captured_at.isoformat() if o.captured_at else None, o.ground_resolution_m_px,
             o.sha256.hex() if o.sha256 else None, o.size_bytes]
            for o in offers
        ]  # fmt: skip
        self._append({"page": rows})
        self.pages += 1

    def read_pages(self) -> Iterator[list[Offer]]:
        """Yield the pages one by one from the disk."""
        with open(self._path, encoding="utf-8") as file:
            for line in file:
                if line.startswith('{"page"'):
                    yield [
                        Offer(x, y, datetime.fromisoformat(at) if at else None, resolution,
                              bytes.fromhex(digest) if digest else None, size)
                        for x, y, at, resolution, digest, size in json.loads(line)["page"]
                    ]  # fmt: skip

    def settle(self, outcome: str, places: Sequence[tuple[int, int]]) -> None:
        """Note tiles that are done with, and how."""
        if places:
            self.outcomes.setdefault(outcome, set()).update(places)
            self._append({"done": {outcome: list(places)}})

    def _append(self, entry: Mapping[str, Any]) -> None:
        self._file.write(json.dumps(entry, separators=(",", ":")) + "\n")
        self._file.flush()

    def close(self, *, finished: bool) -> None:
        """Close, and remove the journal where the request is fulfilled."""
        self._file.close()
        if finished:
            self._path.unlink(missing_ok=True)
