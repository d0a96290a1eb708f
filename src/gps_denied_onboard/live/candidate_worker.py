"""Candidates into the store: beside the flight, within the budget, and never in the way of the map."""

from __future__ import annotations

import math
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

from gps_denied_onboard.config import Config
from gps_denied_onboard.errors import UserError
from gps_denied_onboard.live.worker import Worker
from gps_denied_onboard.localisation.tile_candidates import CandidateJob, CandidateMaker
from gps_denied_onboard.messages import Alert, Severity
from gps_denied_onboard.pipeline_parts import Stage
from gps_denied_onboard.recorder.snapshots import TileSnapshots
from gps_denied_onboard.runtime_root.build import World
from gps_denied_onboard.tiles.records import NewTile

if TYPE_CHECKING:  # the database's client, 11 MB, comes with the store alone
    from gps_denied_onboard.tiles.budget import CacheBudget
    from gps_denied_onboard.tiles.store import TileStore


class CandidateWriter:
    """Makes and stores the tiles of one frame at a time."""

    def __init__(
        self,
        store: TileStore,
        maker: CandidateMaker,
        budget: CacheBudget,
        interval_s: float,
        snapshots: TileSnapshots | None,
    ) -> None:
        self._store, self._maker, self._budget, self._snapshots = store, maker, budget, snapshots
        self._interval_ns = round(interval_s * 1e9)
        self._next_ns = -math.inf
        self._full = False

    def due(self, t_ns: int) -> bool:
        """Return whether enough time has passed since the last frame that was taken."""
        return t_ns >= self._next_ns

    def write(self, job: CandidateJob, stage: Stage = lambda _name: nullcontext()) -> list[Alert]:
        """Store what the frame gives that this flight has not stored yet; return what there is to tell.

        In flight nothing is evicted: where there is no room, candidates are not written, and that is said once.
        """
        self._next_ns = job.frame.t_ns + self._interval_ns
        with stage("candidates"):
            made = [tile for tile in self._maker.tiles(job) if self._store.get(tile.key) is None]
            if not made:
                return []
            if not self._budget.fits(sum(len(tile.jpeg) for tile in made)):
                self._note(job.frame.t_ns, made, "no room")
                told = (
                    [] if self._full else [Alert(job.frame.t_ns, Severity.WARNING, "no room for tiles made in flight")]
                )
                self._full = True
                return told
            try:
                self._store.insert(made)
            except UserError as error:  # busy or full disk: the flight goes on without these
                self._note(job.frame.t_ns, made, str(error))
                return [Alert(job.frame.t_ns, Severity.WARNING, f"tiles made in flight are not stored: {error}"[:200])]
            self._note(job.frame.t_ns, made)
        return []

    def _note(self, t_ns: int, made: list[NewTile], refused: str = "") -> None:
        """Record what became of the tiles."""
        if self._snapshots is None:
            return
        for tile in made:
            if refused:
                self._snapshots.refused(t_ns, tile, refused)
            else:
                self._snapshots.stored(t_ns, tile)


class CandidateWorker:
    """The writer on a thread of its own, so that no position waits for the disk or the database."""

    def __init__(self, writer: CandidateWriter, stack: ExitStack) -> None:
        self._writer = writer
        self._worker: Worker[CandidateJob, list[Alert]] = stack.enter_context(Worker("candidates", writer.write))

    def free(self, t_ns: int) -> bool:
        """Return whether a frame of this time would be taken."""
        return self._worker.idle and self._writer.due(t_ns)

    def take(self, job: CandidateJob | None) -> None:
        """Start on a frame; None: there is nothing to make tiles of."""
        if job is not None:
            self._worker.give(job)

    def told(self, now_ns: int) -> list[Alert]:
        """What the frames before gave to tell."""
        done = self._worker.result()
        if done is None:
            return []
        if done.value is None:
            return [
                Alert(
                    now_ns,
                    Severity.WARNING,
                    f"tiles made in flight failed: {done.error.strip().splitlines()[-1]}"[:200],
                )
            ]
        return done.value


def build_candidate_writer(
    config: Config,
    world: World,
    flight_id: UUID,
    unix_ns_at_zero: int | None,
    stack: ExitStack,
    snapshots: TileSnapshots | None,
) -> CandidateWriter | None:
    """The writer that the configuration asks for, None where it asks for none; `stack` closes its store.

    `snapshots` records what it does, where a flight is recorded.
    UserError where candidates are wanted without a store or without a trusted clock.
    """
    tiles = config.tiles
    if not tiles.candidates:
        return None
    if not config.map.use_store or not config.map.directory:
        raise UserError("tiles.candidates needs the tile store: set map.use_store and map.directory, or switch it off.")
    if unix_ns_at_zero is None:
        raise UserError(
            "tiles.candidates needs a trusted clock: set mission.utc_at_zero (a recording: utc_at_zero in its "
            "recording.json), or switch it off."
        )
    from gps_denied_onboard.tiles.budget import CacheBudget
    from gps_denied_onboard.tiles.store import TileStore

    store = stack.enter_context(TileStore.open(Path(config.map.directory)))
    maker = CandidateMaker(
        world.local, world.camera, tiles.candidate_zoom, tiles.candidate_sharpness_min, flight_id, unix_ns_at_zero
    )
    return CandidateWriter(store, maker, CacheBudget(store, tiles.budget_bytes), tiles.candidate_interval_s, snapshots)
