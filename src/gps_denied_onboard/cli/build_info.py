"""What a companion is, for the workstation's check before a flight."""

from __future__ import annotations

import shutil
import time
from functools import partial
from pathlib import Path
from typing import Any

from gps_denied_onboard import VERSION
from gps_denied_onboard.cli.flight_check import CHOICES
from gps_denied_onboard.config import Config
from gps_denied_onboard.errors import UserError
from gps_denied_onboard.live.service import missing_for_flight
from gps_denied_onboard.provisioning.companion_memory import CompanionMemory, memory_of
from gps_denied_onboard.provisioning.trusted_keys import read_trusted_keys
from gps_denied_onboard.runtime_root.strategies import load_composition, resolve
from gps_denied_onboard.runtime_root.value_check import refusal_of, value_problems


def describe(config: Config, trusted_keys: Path | None, cache: Path | None) -> dict[str, Any]:
    """Version, image, clock (Unix seconds), free bytes, trusted keys, the map that is flown, and `problems`: what
    keeps this configuration from flying, one sentence each. Nothing is started; a companion without a name gets one."""
    problems: list[str] = []
    composition = load_composition()
    for choice in CHOICES:
        problems += refusal_of(partial(resolve, choice, getattr(config.strategies, choice), composition))
    problems += value_problems(config)
    problems += missing_for_flight(config)
    folder = trusted_keys or (Path(config.mission.trusted_keys) if config.mission.trusted_keys else None)
    keys: list[str] = []
    revoked: list[str] = []
    if folder is not None and folder.is_dir():
        found = read_trusted_keys(folder)
        keys, revoked = list(found.good), sorted(found.revoked)
    memory = CompanionMemory("", 0)
    try:
        memory = memory_of(Path(config.map.directory)) if config.map.directory else memory
    except UserError as error:
        problems.append(str(error))
    return {
        "version": VERSION,
        "image": composition.image,
        "composition_sha256": composition.sha256,
        "unix_time_s": time.time(),
        "store_free_bytes": _free_bytes(Path(config.map.directory)) if config.map.directory else 0,
        "cache_free_bytes": _free_bytes(cache) if cache is not None else 0,
        "trusted_keys": keys,
        "revoked_keys": revoked,
        "source": config.map.source,
        "zoom": config.map.zoom,
        "use_store": config.map.use_store,
        "matching": config.strategies.matching,
        "problems": problems,
        "companion_id": memory.companion_id,
        "manifest_counter": memory.counter,
    }


def _free_bytes(folder: Path) -> int:
    """Free bytes of the disk that holds a folder, or will hold it."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return shutil.disk_usage(folder).free
