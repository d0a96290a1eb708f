"""The table of all parsers of bytes from outside: name, what reads them, and a corpus in our own words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from . import file_targets as files
from . import link_targets as links
from . import recording_targets as recordings
from . import result_targets as results


@dataclass(frozen=True, slots=True)
class Target:
    """`run` raises for a fault of ours only; `seeds` makes the corpus; inputs have `bytes_max` at most."""

    run: Callable[[bytes], None]
    seeds: Callable[[], list[bytes]]
    bytes_max: int = 4096


TARGETS: dict[str, Target] = {
    "mavlink": Target(links.fuzz_mavlink, links.link_seeds, 2000),
    "signed": Target(links.fuzz_signed, links.link_seeds, 2000),
    "msp": Target(links.fuzz_msp, links.msp_seeds, 2000),
    "recording": Target(recordings.fuzz_recording, recordings.recording_seeds, 20_000),
    "recording-json": Target(files.fuzz_meta, files.meta_seeds),
    "recorded-config": Target(files.fuzz_header, files.header_seeds, 20_000),
    "tlog": Target(files.fuzz_tlog, files.tlog_seeds),
    "config": Target(files.fuzz_config, files.config_seeds),
    "plans": Target(files.fuzz_plan, files.plan_seeds),
    "mission": Target(files.fuzz_mission, files.mission_seeds),
    "truth-table": Target(files.fuzz_truth, files.truth_seeds),
    "result": Target(results.fuzz_result, results.result_seeds),
    "navstate": Target(results.fuzz_navstate, results.navstate_seeds),
    "picture": Target(files.fuzz_picture, files.picture_seeds),
    "video-container": Target(files.fuzz_video_container, files.container_seeds),
    "xmp": Target(files.fuzz_xmp, files.picture_seeds),
    "tile": Target(files.fuzz_tile, files.tile_seeds, 20_000),
    "mbtiles": Target(files.fuzz_mbtiles, files.mbtiles_seeds, 20_000),
    "terrain-file": Target(files.fuzz_terrain, files.terrain_seeds),
    "height-tile": Target(files.fuzz_height_tile, files.height_tile_seeds, 20_000),
    "manifests": Target(files.fuzz_manifests, files.manifest_seeds),
    "parcel": Target(files.fuzz_parcel, files.parcel_seeds, 20_000),
    "onnx": Target(files.fuzz_onnx, files.onnx_seeds),
    "answers": Target(files.fuzz_answers, files.answer_seeds),
    "revoked-keys": Target(files.fuzz_revoked, files.text_seeds),
    "shown-text": Target(files.fuzz_shown, files.text_seeds),
}
