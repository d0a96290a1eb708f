"""The budget: what is evicted, what never is, and that no sequence of operations breaks the rules."""

from __future__ import annotations

import contextlib
import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gps_denied_onboard.tiles.budget import (
    CacheBudget,
    CacheBudgetExhaustedError,
    EvictionRecord,
    missions,
    protect_area,
    release_areas,
)
from gps_denied_onboard.tiles.records import TileRecord, VotingStatusError
from gps_denied_onboard.tiles.store import TileStore
from gps_denied_onboard.tiles.uploads import UploadQueue

from .made_tiles import FLIGHT, jpeg, tile

SIZE = len(jpeg(1))


@pytest.fixture
def store(tmp_path: Path, database_url: str) -> Iterator[TileStore]:
    with TileStore.open(tmp_path / "store", database_url) as store:
        yield store


def held(store: TileStore) -> list[tuple[int, int]]:
    return [(r.key.x, r.key.y) for r in store.query_tiles("provider", 18, 0, 0, 1000, 1000)]


def test_least_recently_used_goes_first(store: TileStore, caplog: pytest.LogCaptureFixture) -> None:
    """Tiles that were read stay, others go, no more than needed; each has a log line, the batch one record."""
    caplog.set_level(logging.INFO)
    store.insert([tile(x, 0) for x in range(4)])
    for record in store.query_tiles("provider", 18, 0, 0, 2, 1):
        store.read(record)
    batches: list[EvictionRecord] = []
    freed = CacheBudget(store, 3 * SIZE, batches.append).reserve_headroom(SIZE)
    assert (freed, batches) == (2 * SIZE, [EvictionRecord(2, 2 * SIZE)])
    assert held(store) == [(0, 0), (1, 0)]
    assert sum("tile evicted" in message for message in caplog.messages) == 2
    assert store.totals() == (2, 2 * SIZE)
    assert not list(store.root.rglob("18/2/*")) + list(store.root.rglob("18/3/*"))


def test_what_fits_evicts_nothing(store: TileStore) -> None:
    """Within the budget nothing happens."""
    store.insert([tile(0, 0)])
    assert CacheBudget(store, 2 * SIZE).reserve_headroom(SIZE) == 0
    assert held(store) == [(0, 0)]


def test_mission_and_pending_uploads_stay(store: TileStore) -> None:
    """Tiles of a mission and tiles that wait for upload are never evicted; the error tells the three numbers."""
    store.insert([tile(x, 0) for x in range(3)] + [tile(9, 9, flight=FLIGHT)])
    protect_area(store, "night", "provider", 18, (0, 0, 2, 1))
    with pytest.raises(CacheBudgetExhaustedError) as raised:
        CacheBudget(store, 4 * SIZE).reserve_headroom(3 * SIZE)
    error = raised.value
    assert (error.needed_bytes, error.budget_bytes, error.freed_bytes) == (3 * SIZE, 4 * SIZE, SIZE)
    assert held(store) == [(0, 0), (1, 0)]
    assert len(UploadQueue(store).pending()) == 1
    assert missions(store) == ["night"]
    assert release_areas(store, "night") == 1
    assert CacheBudget(store, 4 * SIZE).reserve_headroom(3 * SIZE) == 2 * SIZE


def test_more_than_the_whole_budget_evicts_nothing(store: TileStore) -> None:
    """A demand that can never be met is refused before anything is lost."""
    store.insert([tile(0, 0)])
    with pytest.raises(CacheBudgetExhaustedError):
        CacheBudget(store, 2 * SIZE).reserve_headroom(3 * SIZE)
    assert held(store) == [(0, 0)]


def flight_records(store: TileStore) -> list[TileRecord]:
    return store.query_tiles("onboard_ingest", 18, 0, 0, 1000, 1000)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            ["insert", "ingest", "reserve", "gc", "protect", "release", "vote", "attempt", "acknowledge", "giveup"]
        ),
        st.integers(0, 5), st.sampled_from(["pending", "trusted", "rejected", "upload_giveup"]),
    ), max_size=25,
)  # fmt: skip


class Run:
    """One drawn sequence on one store, with what must hold after every step."""

    def __init__(self, store: TileStore) -> None:
        self.store = store
        self.budget = CacheBudget(store, 4 * SIZE)
        self.queue = UploadQueue(store)
        self.protected: int | None = None
        self.statuses: dict[int, str] = {}
        self.attempts: dict[int, int] = {}

    def step(self, what: str, number: int, status: str) -> None:
        protected = {p for p in held(self.store) if p[0] == self.protected}
        waiting = {record.row_id for record in self.queue.pending()}
        with contextlib.suppress(CacheBudgetExhaustedError, VotingStatusError):
            self.do(what, number, status)
        if what not in {"acknowledge", "giveup", "vote"}:
            assert waiting <= {record.row_id for record in self.queue.pending()}
        assert protected <= set(held(self.store))
        assert self.store.totals()[1] <= self.budget.budget_bytes
        for record in flight_records(self.store):
            before = self.statuses.get(record.row_id, "pending")
            assert before in {"pending", record.voting_status}
            assert record.upload_attempts >= self.attempts.get(record.row_id, 0)
            self.statuses[record.row_id] = record.voting_status
            self.attempts[record.row_id] = record.upload_attempts

    def do(self, what: str, number: int, status: str) -> None:
        flown = flight_records(self.store)
        record = flown[number % len(flown)] if flown else None
        if what in {"insert", "ingest"}:
            new = tile(number, 0, flight=FLIGHT if what == "ingest" else None)
            if self.store.get(new.key) is None:
                self.budget.reserve_headroom(SIZE)
                self.store.insert([new])
        elif what == "reserve":
            self.budget.reserve_headroom(number * SIZE)
        elif what == "gc":
            CacheBudget(self.store, number * SIZE).reserve_headroom(0)
            assert self.store.totals()[1] <= number * SIZE
        elif what == "protect":
            protect_area(self.store, "m", "provider", 18, (number, 0, number + 1, 1))
            self.protected = number
        elif what == "release":
            release_areas(self.store, "m")
            self.protected = None
        elif record is not None and what == "vote":
            self.store.set_voting_status(record, status)
        elif record is not None and what == "attempt":
            self.queue.count_attempt([record])
        elif record is not None and what == "acknowledge":
            self.queue.acknowledge(record, "rejected" if status == "rejected" else "queued")
        elif record is not None and what == "giveup":
            self.queue.give_up(record, 3, "drawn")


@pytest.mark.slow
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_no_sequence_breaks_the_rules(database_url: str, steps: list[tuple[str, int, str]]) -> None:
    """No sequence exceeds the budget, evicts a protected tile, lowers attempts or moves a final voting status."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        for table in ("tiles", "mission_areas", "store_identity"):
            connection.execute(f"DELETE FROM {table}")
    with tempfile.TemporaryDirectory() as folder, TileStore.open(Path(folder), database_url) as store:
        run = Run(store)
        for what, number, status in steps:
            run.step(what, number, status)
