"""TileUploader: tiles made in flight to the provider, signed, in batches, each acknowledged once or given up on record.

Two budgets: tries in one call (see http.RetrySchedule), and attempts of a tile over all calls. A tile that no answer
spoke of stays pending; nothing is deleted. After a lost answer the provider calls the second sending a duplicate.
"""

from __future__ import annotations

import base64
import json
import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC
from pathlib import Path
from typing import Any
from uuid import UUID

from gps_denied_onboard.geometry import geodesy
from gps_denied_onboard.tiles.grid import TILE_PX
from gps_denied_onboard.tiles.records import TileDamagedError, TileRecord
from gps_denied_onboard.tiles.store import TileStore
from gps_denied_onboard.tiles.uploads import UploadQueue
from gps_denied_onboard.untrusted import json as outside
from gps_denied_onboard.untrusted.text import shown
from gps_denied_operator.tiles.feeds import API_KEY_HEADER
from gps_denied_operator.tiles.http import HttpClient, ProviderUnavailableError, RetrySchedule
from gps_denied_operator.tiles.signing import SigningSession, canonical_payload

log = logging.getLogger(__name__)

BATCH_TILES = 20
ATTEMPTS_MAX = 5
ANSWER_BYTES_MAX = 1024 * 1024
STATUSES = ("queued", "rejected", "duplicate", "superseded")
SIGNATURE_REASON = "signature"
Verdicts = dict[int, tuple[str, str]]


@dataclass(slots=True)
class UploadReport:
    """What an upload did. outcome: success, failure or idempotent_no_op; `still_pending` wait for another run.

    Tiles that the provider has, queued, duplicate or superseded, are a success; where it rejects all, there is none.
    """

    provider: str
    outcome: str = "success"
    reason: str = ""
    tiles: int = 0
    queued: int = 0
    duplicate: int = 0
    superseded: int = 0
    rejected: int = 0
    given_up: int = 0
    still_pending: int = 0
    security_events: int = 0
    flights: dict[str, dict[str, str]] = field(default_factory=dict)
    rejections: list[dict[str, str]] = field(default_factory=list)
    giveups: list[dict[str, str]] = field(default_factory=list)
    next_retry_at_s: float | None = None
    seconds: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


class TileUploader:
    """Uploads from one store to one provider."""

    def __init__(
        self, store: TileStore, url: str, api_key: str, companion_id: str, ca_file: Path | None = None,
        schedule: RetrySchedule | None = None, attempts_max: int = ATTEMPTS_MAX,
    ) -> None:  # fmt: skip
        self._store, self._companion_id, self._attempts_max = store, companion_id, attempts_max
        self._queue = UploadQueue(store)
        headers = {API_KEY_HEADER: api_key} if api_key else {}
        self._http = HttpClient(url, headers, ca_file, schedule or RetrySchedule(), 2)

    def close(self) -> None:
        self._http.close()

    def upload_pending_tiles(
        self, flight_id: UUID | None = None, progress: Callable[[int, int], None] = lambda _done, _total: None
    ) -> UploadReport:
        """Send what waits, of one flight or of all, flight by flight under a key of its own.

        Raises ProviderRefusedError where the provider or its certificate says no; the report's `failure` where it does
        not answer.
        """
        started_s = time.monotonic()
        report = UploadReport(self._http.shown)
        with self._store.writing(f"upload to {self._http.shown}", timeout_s=0.0):
            waiting = self._queue.pending(flight_id, limit=1_000_000)
            report.tiles = report.still_pending = len(waiting)
            flights = dict.fromkeys(record.key.flight_id for record in waiting)
            try:
                for flight in flights:
                    assert flight is not None
                    with SigningSession(flight) as session:
                        self._begin(session, report)
                        mine = [record for record in waiting if record.key.flight_id == flight]
                        for start in range(0, len(mine), BATCH_TILES):
                            self._send(session, mine[start : start + BATCH_TILES], report)
                            progress(report.tiles - report.still_pending, report.tiles)
            except ProviderUnavailableError as error:
                report.reason, report.next_retry_at_s = str(error), error.next_retry_at_s
        judged = _judged(report, started_s)
        if not judged.tiles:
            judged.reason += _before(self._queue.refused(flight_id))
        return judged

    def _begin(self, session: SigningSession, report: UploadReport) -> None:
        """Tell the provider the session's public key, and the report its fingerprint."""
        public = base64.b64encode(session.public_key).decode()
        report.flights[str(session.flight_id)] = {"public_key": public, "fingerprint": session.fingerprint}
        path = f"/api/satellite/flights/{session.flight_id}/keys"
        self._http.post(path, 201, _fingerprint, json={"public_key": public})

    def _send(self, session: SigningSession, records: Sequence[TileRecord], report: UploadReport) -> None:
        attempts = self._queue.count_attempt(records)
        ready = []
        for record in records:
            try:
                ready.append((record, self._signed(session, record)))
            except (TileDamagedError, ValueError) as error:
                self._give_up(record, attempts.get(record.row_id, 0), str(error), report)
        if not ready:
            return
        columns: dict[str, list[str]] = {}
        for _, (fields, _) in ready:
            for name, value in fields.items():
                columns.setdefault(name, []).append(value)
        parts = [("tile_blob", (f"{n}.jpg", blob, "image/jpeg")) for n, (_, (_, blob)) in enumerate(ready)]
        try:
            verdicts = self._http.post(
                "/api/satellite/tiles/ingest", 202, lambda body: _verdicts(body, len(ready)), data=columns, files=parts
            )
        except ProviderUnavailableError as error:
            for record, _ in ready:
                if attempts.get(record.row_id, 0) >= self._attempts_max:
                    self._give_up(record, attempts[record.row_id], str(error), report)
            raise
        for number, (record, _) in enumerate(ready):
            tried = attempts.get(record.row_id, 0)
            if number in verdicts:
                self._apply(record, tried, *verdicts[number], report)
            elif tried >= self._attempts_max:
                self._give_up(record, tried, "the provider did not speak of it", report)

    def _apply(self, record: TileRecord, tried: int, status: str, reason: str, report: UploadReport) -> None:
        if status == "rejected":
            report.rejections.append({"tile": _name(record), "reason": reason})
            if reason == SIGNATURE_REASON:  # the tile itself was never judged: it stays pending
                log.error("SECURITY: the provider refuses our signature: tile=%s", record.key)
                report.security_events += 1
                if tried >= self._attempts_max:
                    self._give_up(record, tried, "signature refused", report)
                return
            log.warning("tile rejected by the provider: tile=%s reason=%s", record.key, reason)
        if self._queue.acknowledge(record, status):
            setattr(report, status, getattr(report, status) + 1)
            report.still_pending -= 1

    def _give_up(self, record: TileRecord, attempts: int, reason: str, report: UploadReport) -> None:
        self._queue.give_up(record, attempts, reason)
        report.giveups.append({"tile": _name(record), "reason": reason, "attempts": str(attempts)})
        report.given_up += 1
        report.still_pending -= 1

    def _signed(self, session: SigningSession, record: TileRecord) -> tuple[dict[str, str], bytes]:
        """Return a tile's form fields with signature, and its bytes; ValueError where it cannot be sent."""
        if record.captured_at is None:
            raise ValueError("its time of capture is not known")
        blob = bytes(self._store.read(record)[0])
        key = record.key
        middle = geodesy.geodetic_from_mercator_px([(key.x + 0.5) * TILE_PX, (key.y + 0.5) * TILE_PX], key.zoom)
        fields = {
            "zoomLevel": str(key.zoom),
            "latitude": f"{float(middle[0]):.8f}",
            "longitude": f"{float(middle[1]):.8f}",
            "tile_size_meters": f"{key.tile_size_m:.3f}",
            "tile_size_pixels": str(TILE_PX),
            "capture_timestamp": record.captured_at.astimezone(UTC).isoformat(),
            "flight_id": str(key.flight_id),
            "companion_id": self._companion_id,
            "quality_metadata": json.dumps(dict(record.quality_metadata), sort_keys=True, separators=(",", ":")),
        }
        signature = session.sign(canonical_payload(fields, blob))
        return fields | {"signature": base64.b64encode(signature).decode()}, blob


def _fingerprint(body: bytes) -> str:
    told = outside.read_json(body, "the answer", ANSWER_BYTES_MAX)
    return outside.field(told, "fingerprint", str, "the answer")


def _verdicts(body: bytes, count: int) -> Verdicts:
    """Return index -> (status, reason) of an answer; ValueError or UntrustedError where it is none."""
    answer = outside.read_json(body, "the answer", ANSWER_BYTES_MAX)
    UUID(outside.field(answer, "batch_id", str, "the answer"))
    found: Verdicts = {}
    for entry in outside.field(answer, "tiles", list, "the answer"):
        index = outside.field(entry, "index", int, "a verdict")
        status = outside.field(entry, "status", str, "a verdict")
        if not 0 <= index < count or index in found or status not in STATUSES:
            raise ValueError("a verdict that belongs to no tile")
        found[index] = (status, shown(outside.optional(entry, "reason", str, "a verdict") or ""))
    return found


def _name(record: TileRecord) -> str:
    key = record.key
    return f"{key.source}/{key.zoom}/{key.x}/{key.y}-{key.flight_id}"


def _before(refused: Mapping[str, int]) -> str:
    """What came of earlier uploads: nothing waits is not that all was taken."""
    words = {"rejected": "rejected by the provider before", "upload_giveup": "given up before"}
    return "".join(f"; {refused[status]} were {said}" for status, said in words.items() if refused.get(status))


def _judged(report: UploadReport, started_s: float) -> UploadReport:
    report.seconds = round(time.monotonic() - started_s, 3)
    if report.tiles == 0:
        report.outcome, report.reason = "idempotent_no_op", "nothing waits for upload"
    elif report.still_pending or report.given_up or report.security_events:
        report.outcome = "failure"
        report.reason = report.reason or f"{report.still_pending} still wait, {report.given_up} were given up"
        report.reason += f"; {_why_rejected(report)}" if report.rejected else ""
    elif report.rejected:
        report.reason = _why_rejected(report)
        if not report.queued + report.duplicate + report.superseded:
            report.outcome, report.reason = "failure", f"the provider took nothing: {report.reason}"
    return report


def _why_rejected(report: UploadReport) -> str:
    """How many tiles were rejected, and for what, the most frequent reason first."""
    reasons = Counter(entry["reason"] or "no reason given" for entry in report.rejections)
    told = ", ".join(f"{count} for '{reason[:80]}'" for reason, count in reasons.most_common(5))
    return f"{report.rejected} of {report.tiles} tiles were rejected ({told})"
