"""One frozen configuration tree, read from TOML. Units are in the names; an unknown key is an error."""

from __future__ import annotations

import difflib
import math
import re
import tomllib
import types
import typing
from dataclasses import MISSING, dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.fusion.config import FusionConfig
from gps_denied_onboard.geometry.camera import CameraModel
from gps_denied_onboard.inference.config import InferenceConfig
from gps_denied_onboard.integrity.config import IntegrityConfig
from gps_denied_onboard.integrity.state_health_config import StateHealthConfig
from gps_denied_onboard.localisation.belief_config import BeliefConfig
from gps_denied_onboard.localisation.matching.config import LearnedConfig, MatchingConfig
from gps_denied_onboard.localisation.place_config import PlaceConfig
from gps_denied_onboard.localisation.pose_config import GateConfig, PoseConfig
from gps_denied_onboard.odometry.config import OdometryConfig
from gps_denied_onboard.recorder.config import RecorderConfig
from gps_denied_onboard.thermal.state import ThermalConfig
from gps_denied_onboard.tiles.config import TilesConfig
from gps_denied_onboard.untrusted.bounded import read_file
from gps_denied_onboard.untrusted.text import shown

T = typing.TypeVar("T")
DEPTH_MAX = 8
FILE_BYTES_MAX = 1 << 18

RETIRED = {"pipeline": {"attitude_timeout_s": "nothing ever read it"}}
"""Keys that were in the configuration once, and why they are not: a recording that holds one still opens."""


@dataclass(frozen=True, slots=True)
class StrategyNames:
    """Which strategy of each kind to use; see runtime_root/strategies.py for the names."""

    odometry: str = "planar"
    place: str = "grid"
    matching: str = "classic"
    inference: str = "onnxruntime"
    pose: str = "plane"
    fusion: str = "isam2"
    autopilot: str = "ardupilot"


@dataclass(frozen=True, slots=True)
class MissionConfig:
    """Origin of the local frame, on the ground. `utc_at_zero` is the time of t_ns = 0 by a trusted clock (ISO 8601).

    `manifest` is the manifest.json of a provisioned cache: `run` starts only when it verifies by a key of the folder
    `trusted_keys`; origin and camera then come from it where this configuration names none. `mission_id`, where given,
    is the only mission whose manifest is flown with.
    """

    origin_latitude_deg: float = math.nan
    origin_longitude_deg: float = math.nan
    ground_altitude_amsl_m: float = 0.0
    ground_sigma_m: float = 5.0
    takeoff_sigma_horizontal_m: float = 5.0
    takeoff_sigma_vertical_m: float = 10.0
    takeoff_known: bool = False
    utc_at_zero: str = ""
    manifest: str = ""
    trusted_keys: str = ""
    mission_id: str = ""


@dataclass(frozen=True, slots=True)
class MapConfig:
    """Where tiles come from: a folder `directory`/`source`/z/x/y.jpg, or the tile store rooted there."""

    directory: str = ""
    source: str = "provider"
    zoom: int = 0
    use_store: bool = False
    cache_mb: int = 256


@dataclass(frozen=True, slots=True)
class PipelineConfig:
    """`worker_delay_s` is what a replay gives the slow stages, in the recording's time; live it is what they take.
    While the computer is throttled for heat, a frame is searched for on the map only about every
    `throttled_matching_interval_s`."""

    output_rate_hz: float = 10.0
    queue_length: int = 2
    worker_delay_s: float = 0.15
    throttled_matching_interval_s: float = 2.0

    def __post_init__(self) -> None:
        if not 5.0 <= self.output_rate_hz <= 50.0:
            raise UserError(
                f"pipeline.output_rate_hz must be 5 to 50 (ArduPilot's floor is 5), got {self.output_rate_hz}."
            )
        if not 1 <= self.queue_length <= 100:
            raise UserError(f"pipeline.queue_length must be 1 to 100, got {self.queue_length}.")
        if not 0.0 <= self.worker_delay_s <= 2.0:
            raise UserError(f"pipeline.worker_delay_s must be 0 to 2, got {self.worker_delay_s}.")
        if not 0.0 <= self.throttled_matching_interval_s <= 60.0:
            given = self.throttled_matching_interval_s
            raise UserError(f"pipeline.throttled_matching_interval_s must be 0 to 60, got {given}.")


@dataclass(frozen=True, slots=True)
class AutopilotConfig:
    """`address`: udpout:HOST:PORT, udpin:HOST:PORT, tcp:HOST:PORT or serial:DEVICE:BAUD; empty: no link.

    `gps_id` is the GPS instance that we are, `real_gps_id` that of the real receiver (-1: none is wired).
    `gps_delay_ms` is what the autopilot's GPS1_DELAY_MS is set to. `signing_key` is a file of 32 bytes, for MAVLink
    only; `signing_state` a file beside it that keeps the timestamps.
    """

    address: str = ""
    gps_id: int = 0
    real_gps_id: int = 1
    system_id: int = 1
    component_id: int = 191
    gps_delay_ms: int = 20
    signing_key: str = ""
    signing_state: str = ""


@dataclass(frozen=True, slots=True)
class GcsConfig:
    """A ground station's own MAVLink address; empty: it hears us through the autopilot (ArduPilot only)."""

    address: str = ""
    signing_key: str = ""
    signing_state: str = ""


@dataclass(frozen=True, slots=True)
class FramesConfig:
    """Live pictures: `source` is a camera device (number or path), or "video:FILE" played at its own speed."""

    source: str = "0"
    rate_hz: float = 1.0
    width_px: int = 0
    height_px: int = 0
    exposure_delay_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Config:
    """The whole configuration. `camera` None: what the recording says."""

    strategies: StrategyNames = field(default_factory=StrategyNames)
    mission: MissionConfig = field(default_factory=MissionConfig)
    camera: CameraModel | None = None
    map: MapConfig = field(default_factory=MapConfig)
    frames: FramesConfig = field(default_factory=FramesConfig)
    pipeline: PipelineConfig = field(default_factory=PipelineConfig)
    autopilot: AutopilotConfig = field(default_factory=AutopilotConfig)
    gcs: GcsConfig = field(default_factory=GcsConfig)
    odometry: OdometryConfig = field(default_factory=OdometryConfig)
    place: PlaceConfig = field(default_factory=PlaceConfig)
    matching: MatchingConfig = field(default_factory=MatchingConfig)
    learned: LearnedConfig = field(default_factory=LearnedConfig)
    inference: InferenceConfig = field(default_factory=InferenceConfig)
    thermal: ThermalConfig = field(default_factory=ThermalConfig)
    pose: PoseConfig = field(default_factory=PoseConfig)
    gates: GateConfig = field(default_factory=GateConfig)
    belief: BeliefConfig = field(default_factory=BeliefConfig)
    fusion: FusionConfig = field(default_factory=FusionConfig)
    tiles: TilesConfig = field(default_factory=TilesConfig)
    state_health: StateHealthConfig = field(default_factory=StateHealthConfig)
    integrity: IntegrityConfig = field(default_factory=IntegrityConfig)
    recorder: RecorderConfig = field(default_factory=RecorderConfig)


_KEY_PARTS_MAX = 30
_DEEP_KEY = re.compile(rf"""(?<![\w-])(?:(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')[ \t]*+\.[ \t]*+){{{_KEY_PARTS_MAX}}}""")


def load_config(path: Path | None) -> Config:
    """The configuration of a TOML file; the defaults for None. UserError names the key and what would be right."""
    return Config() if path is None else read_toml(path, Config, "configuration")


def read_toml(path: Path, cls: type[T], what: str) -> T:
    """A TOML file as a dataclass, its tables as the dataclasses within. UserError as in `load_config`."""
    try:
        text = read_file(path, FILE_BYTES_MAX, f"{what} {shown(path)}").decode("utf-8")
    except FileNotFoundError:
        raise UserError(f"{what} {shown(path)} does not exist; check the path.") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{what} {shown(path)} is no text in UTF-8 ({shown(error)}): save it as that.") from error
    except OSError as error:
        raise UserError(f"{what} {shown(path)} cannot be read: {shown(error)}.") from error
    if _DEEP_KEY.search(text):  # tomllib's work grows with the square of a key's parts
        raise UserError(f"{what} {shown(path)} holds a key of more than {_KEY_PARTS_MAX} parts: correct it.")
    try:
        tree = tomllib.loads(text)
    except (RecursionError, ValueError) as error:
        raise UserError(f"{what} {shown(path)} is not valid TOML: {shown(error)}.") from error
    for table, keys in RETIRED.items() if cls is Config else ():
        given = tree.get(table)
        for key in sorted(keys.keys() & (given.keys() if isinstance(given, dict) else set())):
            raise UserError(f"{shown(path)}: '{table}.{key}' is gone ({keys[key]}): remove the line.")
    try:
        return typing.cast(T, _build(cls, tree, ""))
    except UserError as error:
        raise UserError(f"{shown(path)}: {error}") from None


def config_from_tree(tree: dict[str, Any]) -> Config:
    """The configuration of a recorded tree of plain values; null is a default, retired keys are passed over.

    UserError as in `load_config`.
    """
    kept = {
        name: {key: value for key, value in table.items() if key not in RETIRED.get(name, {})}
        if isinstance(table, dict)
        else table
        for name, table in tree.items()
    }
    return typing.cast(Config, _build(Config, _without_null(kept, DEPTH_MAX), ""))


def without_places(config: Config) -> Config:
    """A recorded configuration without what names a file, a server, a link or an amount of memory: the defaults.

    Only what the estimator computes by stays; a map, models and a cache are named by whoever replays.
    """
    mission = replace(config.mission, manifest="", trusted_keys="")
    map_shown = replace(MapConfig(), source=config.map.source, zoom=config.map.zoom)
    inference = replace(
        InferenceConfig(),
        precision=config.inference.precision,
        disallow_cpu_fallback=config.inference.disallow_cpu_fallback,
    )
    tiles = replace(config.tiles, candidates=False)
    autopilot = replace(
        AutopilotConfig(), system_id=config.autopilot.system_id, component_id=config.autopilot.component_id
    )
    return replace(
        config, mission=mission, map=map_shown, frames=FramesConfig(), autopilot=autopilot, gcs=GcsConfig(),
        inference=inference, tiles=tiles, recorder=RecorderConfig(), thermal=ThermalConfig(),
    )  # fmt: skip


def _without_null(tree: dict[str, Any], depth_max: int) -> dict[str, Any]:
    if depth_max == 0:
        raise UserError("the recorded configuration is nested more deeply than any is")
    return {k: _without_null(v, depth_max - 1) if isinstance(v, dict) else v for k, v in tree.items() if v is not None}


def _build(cls: type[Any], tree: dict[str, Any], where: str) -> Any:
    hints = typing.get_type_hints(cls)
    known = {f.name: f for f in fields(cls)}
    for key in tree:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1, cutoff=0.0)
            raise UserError(f"unknown key '{where}{key}'; did you mean '{where}{near[0]}'?")
    missing = [
        f.name for f in known.values() if f.default is MISSING and f.default_factory is MISSING and f.name not in tree
    ]
    if missing:
        raise UserError(f"missing key '{where}{missing[0]}'; add it.")
    return cls(**{key: _value(hints[key], value, f"{where}{key}") for key, value in tree.items()})


def _value(hint: Any, value: Any, where: str) -> Any:
    if isinstance(hint, types.UnionType):
        hint = next(a for a in typing.get_args(hint) if a is not type(None))
    if is_dataclass(hint):
        if not isinstance(value, dict):
            raise UserError(f"'{where}' must be a table ([{where}]), got {value!r}.")
        return _build(typing.cast(type[Any], hint), value, f"{where}.")
    if typing.get_origin(hint) is tuple:
        if not isinstance(value, list):
            raise UserError(f"'{where}' must be an array, got {value!r}.")
        inner = typing.get_args(hint)
        each = [inner[0]] * len(value) if len(inner) == 2 and inner[1] is Ellipsis else list(inner)
        if len(each) != len(value):
            raise UserError(f"'{where}' must have {len(each)} elements, got {len(value)}.")
        return tuple(_value(t, v, f"{where}[{k}]") for k, (t, v) in enumerate(zip(each, value, strict=True)))
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if type(value) is not hint:
        raise UserError(f"'{where}' must be {hint.__name__}, got {value!r}.")
    if hint is float and not math.isfinite(value):
        raise UserError(f"'{where}' must be a finite number, got {value!r}.")
    return value
