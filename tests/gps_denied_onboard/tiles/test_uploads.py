"""Pending uploads: attempts counted at once by many, answers marked once, final statuses final."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from gps_denied_onboard.tiles.records import VotingStatusError
from gps_denied_onboard.tiles.store import TileStore
from gps_denied_onboard.tiles.uploads import UploadQueue

from .made_tiles import FLIGHT, tile


@pytest.fixture
def store(tmp_path: Path, database_url: str) -> Iterator[TileStore]:
    with TileStore.open(tmp_path / "store", database_url) as store:
        store.insert([tile(1, 1), tile(1, 1, flight=FLIGHT), tile(2, 1, flight=FLIGHT)])
        yield store


def test_attempts_of_many_threads_all_count(store: TileStore) -> None:
    """Attempts counted from several threads at once are none lost."""
    queue = UploadQueue(store)
    records = queue.pending(FLIGHT)
    assert len(records) == 2
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: queue.count_attempt(records), range(20)))
    counts = [count for answer in answers for count in answer.values()]
    assert sorted(counts) == sorted([*range(1, 21), *range(1, 21)])


@pytest.mark.parametrize(("answer", "status"), [("queued", "pending"), ("duplicate", "pending"),
                                                ("superseded", "pending"), ("rejected", "rejected")])  # fmt: skip
def test_an_answer_marks_a_tile_once(store: TileStore, answer: str, status: str) -> None:
    """An acknowledged tile leaves the queue and stays in the store; the second answer changes nothing."""
    queue = UploadQueue(store)
    first = queue.pending()[0]
    assert queue.acknowledge(first, answer)
    assert not queue.acknowledge(first, "rejected")
    now = store.get(first.key)
    assert now is not None
    assert (now.voting_status, now.acknowledged) == (status, True)
    assert [record.row_id for record in queue.pending()] != [first.row_id]
    assert queue.count_attempt([first]) == {}


def test_final_status_is_final_even_in_the_database(store: TileStore) -> None:
    """A tile that was given up cannot become trusted, neither by the store nor by plain SQL."""
    queue = UploadQueue(store)
    record = queue.pending()[0]
    queue.give_up(record, 5, "test")
    with pytest.raises(VotingStatusError, match="upload_giveup"):
        store.set_voting_status(record, "trusted")
    with store.connection() as connection, pytest.raises(psycopg.errors.CheckViolation):
        connection.execute("UPDATE tiles SET voting_status = 'pending' WHERE id = %s", (record.row_id,))


def test_totals_follow_every_change(store: TileStore) -> None:
    """Tiles and bytes are those of the rows after inserting, replacing and removing."""
    old = store.get(tile(1, 1).key)
    assert old is not None
    store.replace(old, tile(1, 1, seed=2))
    store.remove(store.query_tiles("onboard_ingest", 18, 2, 1, 3, 2))
    with store.connection() as connection:
        rows = connection.execute("SELECT count(*), sum(size_bytes) FROM tiles").fetchone()
    assert store.totals() == rows == (2, len(tile(1, 1, seed=2).jpeg) + len(tile(1, 1).jpeg))
