"""TileDownloader: the tiles of an area into the store, resumable, within the budget, by the freshness rules."""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import Any

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.tiles import codec, files
from gps_denied_onboard.tiles.budget import protect_area
from gps_denied_onboard.tiles.grid import TileKey, tile_range
from gps_denied_onboard.tiles.records import NewTile, TileRecord
from gps_denied_onboard.tiles.store import TileStore
from gps_denied_operator.tiles.admission import Admission
from gps_denied_operator.tiles.feeds import Offer, TileFeed
from gps_denied_operator.tiles.http import ProviderUnavailableError
from gps_denied_operator.tiles.journal import Journal
from gps_denied_operator.tiles.tilesets import placed_tiles

log = logging.getLogger(__name__)

PAGE_TILES = 5000
BATCH_TILES = 500
AREA_TILES_MAX = 5_000_000
RESOLUTION_M_PX_MAX = 0.5
Fetched = tuple[Offer, NewTile | str]
"""A tile, or what became of the offer instead: `missing`, `rejected_damaged`."""


@dataclass(frozen=True, slots=True)
class Area:
    """What is wanted: a box in degrees at a zoom, under a source's name, for a mission."""

    west_deg: float
    south_deg: float
    east_deg: float
    north_deg: float
    zoom: int
    source: str = "provider"
    mission: str = "current"


@dataclass(slots=True)
class DownloadReport:
    """What a download did. outcome: success, failure or idempotent_no_op; counts include those before a resume."""

    provider: str
    area: dict[str, Any]
    store: str
    outcome: str = "success"
    reason: str = ""
    resumed: bool = False
    tiles_in_area: int = 0
    tiles_offered: int = 0
    downloaded: int = 0
    replaced: int = 0
    already_stored: int = 0
    kept_newer: int = 0
    rejected_freshness: int = 0
    rejected_resolution: int = 0
    rejected_damaged: int = 0
    missing: int = 0
    downgraded: int = 0
    bytes_downloaded: int = 0
    summary_by_label: dict[str, int] = field(default_factory=dict)
    evicted: dict[str, int] = field(default_factory=dict)
    next_retry_at_s: float | None = None
    seconds: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


class TileDownloader:
    """Downloads into one store from one feed."""

    def __init__(self, store: TileStore, feed: TileFeed, admission: Admission, connections: int) -> None:
        self._store, self._feed, self._admission, self._connections = store, feed, admission, connections

    def download_tiles_for_area(
        self, area: Area, progress: Callable[[int, int], None] = lambda _done, _total: None
    ) -> DownloadReport:
        """Fetch what the area lacks. A provider that does not answer ends in outcome `failure`, with what to do.

        Raises UserError where the area, the feed's answers or the budget make it impossible, or another run is under
        way; nothing of the area is written then.
        """
        started_s = time.monotonic()
        places = _places(area)
        report = DownloadReport(self._feed.name, asdict(area), str(self._store.root), tiles_in_area=len(places))
        request = {"provider": self._feed.name, "area": asdict(area)}
        with self._store.writing(f"download from {self._feed.name}", timeout_s=0.0):
            journal = Journal(self._store.root, request, time.time())
            report.resumed = journal.resumed
            finished = False
            try:
                _Download(self._store, self._feed, self._admission, self._connections, area, report, journal).run(
                    places, progress
                )
                finished = True
            except ProviderUnavailableError as error:
                report.outcome, report.reason = "failure", str(error)
                report.next_retry_at_s = error.next_retry_at_s
            finally:
                journal.close(finished=finished)
        return self._judged(report, started_s)

    def _judged(self, report: DownloadReport, started_s: float) -> DownloadReport:
        report.summary_by_label = dict(sorted(self._admission.labels.items()))
        report.evicted = dict(self._admission.evicted)
        report.seconds = round(time.monotonic() - started_s, 3)
        if report.outcome == "success" and report.downloaded + report.replaced == 0:
            if report.already_stored + report.kept_newer:
                report.outcome, report.reason = "idempotent_no_op", "all of it is stored already"
            else:
                report.outcome, report.reason = "failure", "no tile of the area could be had; see the counts"
        return report


class _Places(Sequence[tuple[int, int]]):
    """The (x, y) of a box, row by row within a column, without holding them."""

    def __init__(self, box: tuple[int, int, int, int]) -> None:
        self.box = box
        self._rows = box[3] - box[1]

    def __len__(self) -> int:
        return (self.box[2] - self.box[0]) * self._rows

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        return self.box[0] + index // self._rows, self.box[1] + index % self._rows


def _places(area: Area) -> _Places:
    if not files.SOURCE_NAME.fullmatch(area.source) or area.source == "onboard_ingest":
        raise UserError(f"'{area.source}' cannot be a source: take a-z, 0-9, - and _, and not 'onboard_ingest'.")
    try:
        x0, y0, x1, y1 = tile_range(area.west_deg, area.south_deg, area.east_deg, area.north_deg, area.zoom)
    except ValueError as error:
        raise UserError(f"The area is {error}; give west,south,east,north in degrees.") from error
    places = _Places((x0, y0, x1, y1))
    if len(places) > AREA_TILES_MAX:
        raise UserError(f"The area has {len(places)} tiles at zoom {area.zoom}; take {AREA_TILES_MAX} at most.")
    return places


@dataclass(slots=True)
class _Download:
    """One download under way."""

    store: TileStore
    feed: TileFeed
    admission: Admission
    connections: int
    area: Area
    report: DownloadReport
    journal: Journal
    older: dict[tuple[int, int], TileRecord] = field(default_factory=dict)

    def run(self, places: _Places, progress: Callable[[int, int], None]) -> None:
        for number in range(self.journal.pages, -(-len(places) // PAGE_TILES)):
            page = places[number * PAGE_TILES : (number + 1) * PAGE_TILES]
            self.journal.add_page(self.feed.offers(page))
        protect_area(self.store, self.area.mission, self.area.source, self.area.zoom, places.box)
        self.admission.make_room_bytes(self._needed_bytes())
        self._recall()
        with ThreadPoolExecutor(self.connections) as pool:
            waiting: list[Future[Fetched]] = []
            try:
                for batch in self._batches():
                    ahead = [pool.submit(self._fetch, offer) for offer in batch]
                    self._store_batch(waiting)
                    waiting = ahead
                    progress(self._done(), self.report.tiles_offered)
                self._store_batch(waiting)
            except BaseException:
                pool.shutdown(wait=True, cancel_futures=True)
                raise
        progress(self._done(), self.report.tiles_offered)

    def _done(self) -> int:
        return sum(len(places) for places in self.journal.outcomes.values())

    def _recall(self) -> None:
        """Count what the runs before this one settled, except tiles that were stored: the store tells of those."""
        for outcome, places in self.journal.outcomes.items():
            if outcome != "stored":
                setattr(self.report, outcome, getattr(self.report, outcome) + len(places))

    def _needed_bytes(self) -> int:
        needed = 0
        for page in self.journal.read_pages():
            self.report.tiles_offered += len(page)
            stored = self._stored(page)
            needed += sum(o.size_bytes for o in page if (o.x, o.y) not in stored and self._refusal(o) == "")
        return needed

    def _stored(self, page: Sequence[Offer]) -> dict[tuple[int, int], TileRecord]:
        if not page:
            return {}
        xs, ys = [o.x for o in page], [o.y for o in page]
        box = (min(xs), min(ys), max(xs) + 1, max(ys) + 1)
        found = self.store.query_tiles(self.area.source, self.area.zoom, *box)
        return {(r.key.x, r.key.y): r for r in found if r.key.flight_id is None}

    def _refusal(self, offer: Offer) -> str:
        return "rejected_resolution" if offer.ground_resolution_m_px > RESOLUTION_M_PX_MAX else ""

    def _batches(self) -> Iterator[list[Offer]]:
        """Yield what is to be fetched; settle everything that is not."""
        settled: set[tuple[int, int]] = set()
        for outcome, done in self.journal.outcomes.items():
            settled |= done if outcome != "stored" else set()
        for page in self.journal.read_pages():
            stored = self._stored(page)
            wanted = []
            out: dict[str, list[tuple[int, int]]] = {}
            for offer in page:
                place = (offer.x, offer.y)
                if place in settled:
                    continue
                outcome = self._refusal(offer) or self._known(offer, stored.get(place))
                if outcome == "":
                    wanted.append(offer)
                else:
                    out.setdefault(outcome, []).append(place)
            for outcome, places in out.items():
                self._settle(outcome, places)
            iterator = iter(wanted)
            while batch := list(itertools.islice(iterator, BATCH_TILES)):
                yield batch

    def _known(self, offer: Offer, record: TileRecord | None) -> str:
        """Return what becomes of an offer without fetching it, '' where it must be fetched."""
        if record is not None:
            if offer.sha256 is None or record.content_sha256 == offer.sha256:
                return "already_stored"
            if record.captured_at and (offer.captured_at is None or offer.captured_at <= record.captured_at):
                return "kept_newer"
            self.older[offer.x, offer.y] = record
        key = TileKey(self.area.source, self.area.zoom, offer.x, offer.y)
        return "rejected_freshness" if self.admission.refuses(key, offer.captured_at) else ""

    def _settle(self, outcome: str, places: Sequence[tuple[int, int]]) -> None:
        setattr(self.report, outcome, getattr(self.report, outcome) + len(places))
        self.journal.settle(outcome, places)

    def _fetch(self, offer: Offer) -> Fetched:
        """Fetch a tile and look at it, on a thread: another one stores meanwhile."""
        data = self.feed.fetch(offer.x, offer.y)
        if data is None:
            return offer, "missing"
        try:
            return offer, self._tile(offer, data)
        except ValueError as error:
            log.warning("tile refused: source=%s zoom=%d x=%d y=%d: %s",
                        self.area.source, self.area.zoom, offer.x, offer.y, error)  # fmt: skip
            return offer, "rejected_damaged"

    def _store_batch(self, fetched: Sequence[Future[Fetched]]) -> None:
        new: list[NewTile] = []
        out: dict[str, list[tuple[int, int]]] = {}
        failed: BaseException | None = None
        for future in fetched:
            try:
                offer, fetched_tile = future.result()
            except ProviderUnavailableError as error:  # what else came is kept
                failed = error
                continue
            if isinstance(fetched_tile, NewTile):
                new.append(fetched_tile)
            else:
                out.setdefault(fetched_tile, []).append((offer.x, offer.y))
        for outcome, places in out.items():
            self._settle(outcome, places)
        self._write(new)
        if failed is not None:
            raise failed

    def _write(self, new: Sequence[NewTile]) -> None:
        labelled = [tile for tile in map(self.admission.labelled, new) if tile is not None]
        self.admission.make_room(labelled)
        fresh = [tile for tile in labelled if (tile.key.x, tile.key.y) not in self.older]
        self.store.insert(fresh)
        for tile in labelled:
            record = self.older.pop((tile.key.x, tile.key.y), None)
            if record is not None:
                self.store.replace(record, tile)
                self.report.replaced += 1
        self.report.downloaded += len(fresh)
        self.report.downgraded += sum(tile.freshness == "downgraded" for tile in labelled)
        self.report.bytes_downloaded += sum(len(tile.jpeg) for tile in labelled)
        self.journal.settle("stored", [(tile.key.x, tile.key.y) for tile in labelled])

    def _tile(self, offer: Offer, data: bytes) -> NewTile:
        """Return a fetched tile, looked at; ValueError where it is not one."""
        mask: bytes | None = None
        fraction = 1.0
        if offer.sha256 is None and not data.startswith(b"\xff\xd8"):
            made = list(placed_tiles(data, offer.x, offer.y, 1))
            if len(made) != 1:
                raise ValueError("not a 256x256 tile")
            data, mask, fraction = made[0].jpeg, codec.encode_mask(made[0].valid), float(made[0].valid.mean())
        codec.check_jpeg_tile(data)
        tile = NewTile(
            TileKey(self.area.source, self.area.zoom, offer.x, offer.y), data, offer.ground_resolution_m_px, mask,
            fraction, offer.captured_at, "trusted", {"provider": self.feed.name}, offer.sha256,
        )  # fmt: skip
        tile.digests()  # here and not first in the store, where a broken promise would be the whole batch's
        return tile
