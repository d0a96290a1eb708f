"""Simulated recordings, kept by what they follow from: seed, length, scenario and the source that makes a recording."""

from __future__ import annotations

import ast
import hashlib
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gps_denied_onboard.errors import UserError

# Of the onboard package, what the simulator's output follows from.
_SHARED_SOURCES = (
    "geometry/camera.py",
    "geometry/geodesy.py",
    "geometry/rotations.py",
    "geometry/terrain.py",
    "messages.py",
    "recorder/kinds.py",
    "recorder/mcap_io.py",
    "recorder/meta.py",
    "tiles/terrain_file.py",
)


@dataclass(frozen=True, slots=True)
class FlightKey:
    """One simulated flight; `raster`: with heights of the ground whatever the scenario."""

    scenario: str
    seed: int
    minutes: float
    raster: bool = False

    @property
    def stem(self) -> str:
        """Folder name without the simulator's hash."""
        return f"{self.scenario}{'-raster' if self.raster else ''}-{self.minutes:g}min-seed{self.seed}"


def simulator_hash() -> str:
    """Hash of the source that simulated flights follow from. UserError where the simulator is not installed."""
    try:
        import gps_denied_onboard
        import gps_denied_sim
    except ImportError as error:
        raise UserError(
            "the simulator is not installed here: `evaluate flights` needs the package's extra 'sim'. "
            "Run it from a checkout after `make setup`."
        ) from error
    sim, onboard = (Path(module.__path__[0]) for module in (gps_denied_sim, gps_denied_onboard))
    shared = [onboard / name for name in _SHARED_SOURCES if (onboard / name).is_file()]
    sources = [*_imported(sim, "recording"), *shared]
    digest = hashlib.sha256()
    for source in sources:
        content = source.read_bytes()
        digest.update(f"{source.name} {len(content)}\n".encode() + content)
    return digest.hexdigest()[:12]


def _imported(package: Path, module: str) -> list[Path]:
    """Return the files of a package that a module of it imports, its own too, sorted; late imports count."""
    waiting, found = [module], set[Path]()
    while waiting:
        source = package / f"{waiting.pop().replace('.', '/')}.py"
        if source in found or not source.is_file():
            continue
        found.add(source)
        for node in ast.walk(ast.parse(source.read_bytes())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
            if isinstance(node, ast.ImportFrom):
                names = [node.module or "", *(f"{node.module}.{name}" for name in names)]
            waiting += [name.partition(".")[2] for name in names if name.startswith(f"{package.name}.")]
    return sorted(found)


def asks_for_heights(scenario: str, terrain: str) -> bool:
    """Whether a flight gets heights that it would not have by its scenario; the simulator's own UserError for what it
    does not know, before any process is started."""
    from gps_denied_sim.recording import HeightsOnBoard, heights_on_board
    from gps_denied_sim.scenarios import make_scenario

    hills = make_scenario(scenario, 0, 60.0).style.relief_m > 0.0
    return heights_on_board(terrain) is HeightsOnBoard.RASTER and not hills


def recording_folder(root: Path, key: FlightKey, simulator: str) -> Path:
    """Where the recording of a flight is kept."""
    return root / f"{key.stem}-{simulator}"


def drop_outdated(root: Path, key: FlightKey, simulator: str) -> None:
    """Remove the same flight as older versions of the simulator made it: nothing would read it again."""
    pattern = re.compile(re.escape(key.stem) + r"-[0-9a-f]{12}")
    for folder in root.iterdir() if root.is_dir() else ():
        if pattern.fullmatch(folder.name) and folder.name != recording_folder(root, key, simulator).name:
            shutil.rmtree(folder, ignore_errors=True)


def simulate(folder: Path, key: FlightKey, progress: Callable[[str, int, int], None]) -> None:
    """Fly and record unless the recording is there; it appears only when complete."""
    if folder.is_dir():
        return
    from gps_denied_sim.recording import FlyRequest, HeightsOnBoard, make_recording

    heights = HeightsOnBoard.RASTER if key.raster else None
    make_recording(FlyRequest(key.seed, key.minutes, key.scenario, terrain=heights), folder, progress)
