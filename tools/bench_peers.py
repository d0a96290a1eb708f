#!/usr/bin/env python3
"""Set us beside what a user would pick: SIFT with a ratio test (OpenCV), XFeat with LighterGlue (ONNX Runtime).

Usage: bench_peers.py OUT.json [SET...]. All are given the same frames and the same place to look (the true position
displaced by 25 m), heading and scale, and see the same map. The peers look at the frame turned north and brought to
the map's scale; a homography by USAC of enough inliers is a find, its position the ground in the frame's middle, less
the one mount tilt of the flight that fits best: the median of the offsets in the frame's axes.
"""

from __future__ import annotations

import json
import math
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime

from gps_denied_onboard.tiles.mosaic import MapMosaic
from gps_denied_operator.evaluate.photos import told_height
from gps_denied_operator.evaluate.photos_run import (
    PhotosRequest,
    PreparedPhotos,
    chosen_frames,
    evaluate_photos,
    prepare,
)

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("GPS_DENIED_SHARED", ROOT.parent / "shared")) / "data"
PRIOR_M = 25.0
REACH = 3.0
FRAME_CELLS = 300.0
"""Of the map on the frame's longer side. On `fengyuan` both find as many as at 600, in a third of the time."""
OFFSETS_MIN = 3
"""With fewer finds taking out the mount's tilt leaves no error to tell."""
RATIO_MAX = 0.8
KEYPOINTS = 1024
SCORE_MIN = 0.1
INLIER_PX = 3.0
INLIERS_MIN = {"sift": 12, "xfeat": 20}
FALSE_M = 25.0

Pairs = tuple[np.ndarray, np.ndarray]
Picture = tuple[np.ndarray, np.ndarray]
"""Grey picture and where it has data, both (H, W) uint8."""


@dataclass(frozen=True)
class PeerSet:
    """Photographs on a map; `own` is False where they were taken elsewhere, so that every find is false."""

    photos: Path
    map: Path
    own: bool = True


SETS = {
    "fengyuan": PeerSet(DATA / "fengyuan" / "photos", DATA / "fengyuan" / "map.tif"),
    "garfield-on-fengyuan": PeerSet(DATA / "garfield", DATA / "fengyuan" / "map.tif", own=False),
}


@dataclass(frozen=True)
class Look:
    """A frame as a peer sees it: `frame` north-up at the map's scale, `window` the map around the prior; the array
    coordinates of the frame's middle; cell (x, y) of the window's corner, at `level`; true position and heading."""

    frame: Picture
    middle: np.ndarray
    window: Picture
    corner: np.ndarray
    level: int
    truth_en_m: np.ndarray | None
    heading_rad: float


def looks(one: PeerSet, prepared: PreparedPhotos) -> Iterator[Callable[[], Look]]:
    """What the peers are given, frame by frame; made when called, so that the time of it can be taken."""
    options = prepared.options
    assert options.attitudes is not None
    for frame in chosen_frames(prepared):
        attitude = options.attitudes.by_frame.get(frame.index)
        if attitude is None:
            continue
        height_m, _ = told_height(options, prepared.infos[frame.index])
        true = prepared.lookup(frame.index, frame.name, frame.t_ns) if one.own else None
        truth = None if true is None else options.local.enu_from_geodetic(true.latitude_deg, true.longitude_deg, 0.0)
        prior = options.priors.get(frame.index)
        centre = np.zeros(2)
        if prior is not None:
            centre = options.local.enu_from_geodetic(prior.latitude_deg, prior.longitude_deg, 0.0)[:2]
        told = (height_m / options.camera.fx_px, math.radians(attitude.yaw_deg))
        yield partial(_look, prepared, frame.image, told, centre, truth)


def _look(
    prepared: PreparedPhotos, image: np.ndarray, told: tuple[float, float], centre: np.ndarray, truth: np.ndarray | None
) -> Look:
    mosaic, local = prepared.mosaic, prepared.options.local
    gsd_m, heading_rad = told
    at = np.array([*centre, 0.0])
    finest_m = _cell_m(local, mosaic, 0, at)
    level = int(np.clip(round(math.log2(gsd_m * max(image.shape[:2]) / FRAME_CELLS / finest_m)), 0, 7))
    cell_m = _cell_m(local, mosaic, level, at)
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY) if image.ndim == 3 else image
    scale = gsd_m / cell_m
    grey = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    h, w = grey.shape
    side = math.ceil(math.hypot(h, w))
    turn = cv2.getRotationMatrix2D((w / 2.0, h / 2.0), -math.degrees(heading_rad), 1.0)
    turn[:, 2] += (side - w) / 2.0, (side - h) / 2.0
    drawn = cv2.warpAffine(grey, turn, (side, side))
    inside = cv2.warpAffine(np.full_like(grey, 255), turn, (side, side))
    half = int(side / 2 + REACH * PRIOR_M / cell_m)
    corner = np.floor(local.mercator_px_from_enu(at, mosaic.zoom - level)).astype(int) - half
    window, valid = mosaic.window(level, int(corner[0]), int(corner[1]), 2 * half, 2 * half)
    seen = (window, valid.astype(np.uint8) * 255)
    middle = np.array([side / 2.0, side / 2.0])
    return Look((drawn, inside), middle, seen, corner, level, None if truth is None else truth[:2], heading_rad)


def _cell_m(local: Any, mosaic: MapMosaic, level: int, at: np.ndarray) -> float:
    pixel = local.mercator_px_from_enu(at, mosaic.zoom - level)
    ends = local.enu_from_mercator_px(np.array([pixel, np.add(pixel, [1.0, 0.0])]), mosaic.zoom - level, 0.0)
    return float(np.linalg.norm(ends[1, :2] - ends[0, :2]))


def sift_pairs(look: Look) -> Pairs:
    """Nearest SIFT descriptors that pass the ratio test."""
    sift: Any = cv2.SIFT_create(4000)  # type: ignore[attr-defined]  # absent from the type stubs
    (k0, d0), (k1, d1) = (sift.detectAndCompute(picture, mask) for picture, mask in (look.frame, look.window))
    if d0 is None or d1 is None or len(d1) < 2:
        return np.empty((0, 2)), np.empty((0, 2))
    near = cv2.FlannBasedMatcher({"algorithm": 1, "trees": 4}, {"checks": 64}).knnMatch(d0, d1, k=2)
    good = [m for m, n in near if m.distance < RATIO_MAX * n.distance]
    return np.array([k0[m.queryIdx].pt for m in good]), np.array([k1[m.trainIdx].pt for m in good])


class XFeat:
    """The models of shared/data/models by ONNX Runtime on one thread."""

    def __init__(self, folder: Path) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.enable_cpu_mem_arena = False  # pictures come in many sizes: it would keep room for each
        self._extract, self._match = (
            onnxruntime.InferenceSession(str(folder / name), options, providers=["CPUExecutionProvider"])
            for name in ("xfeat_dense.onnx", "lighterglue_L3.onnx")
        )

    def pairs(self, look: Look) -> Pairs:
        """What LighterGlue pairs."""
        (xy0, d0), (xy1, d1) = self._keypoints(look.frame), self._keypoints(look.window)
        half0, half1 = (np.array(picture.shape[::-1]) / 2.0 for picture, _ in (look.frame, look.window))
        inputs = {
            "kpts0": ((xy0 - half0) / half0.max())[None].astype(np.float32),
            "kpts1": ((xy1 - half1) / half1.max())[None].astype(np.float32),
            "desc0": d0[None],
            "desc1": d1[None],
        }
        matches, scores = self._match.run(["matches", "scores"], inputs)
        matches = matches[scores > SCORE_MIN]
        return xy0[matches[:, 0]], xy1[matches[:, 1]]

    def _keypoints(self, picture: Picture) -> Pairs:
        """(K, 2) pixels and (K, 64) descriptors of unit length, the surest where there is data."""
        grey, mask = picture
        h, w = (side // 32 * 32 for side in grey.shape)
        images = grey[:h, :w].astype(np.float32)[None, None]
        xy, descriptors, scales = self._extract.run(["keypoints", "descriptors", "scales"], {"images": images})
        xy = xy + 4.0 * scales[:, None]
        column, row = np.clip(xy.astype(int), 0, (w - 1, h - 1)).T
        kept = np.flatnonzero(mask[row, column])[:KEYPOINTS]
        unit = descriptors[kept] / np.maximum(np.linalg.norm(descriptors[kept], axis=1, keepdims=True), 1e-6)
        return xy[kept], unit.astype(np.float32)


def found_at(look: Look, pairs: Pairs, inliers_min: int, prepared: PreparedPhotos) -> np.ndarray | None:
    """(2,) east and north of the ground in the frame's middle; None where too few pairs agree."""
    if len(pairs[0]) < max(inliers_min, 4):
        return None
    cv2.setRNGSeed(7)
    plane, inlier = cv2.findHomography(*pairs, cv2.USAC_MAGSAC, INLIER_PX, None, 5000, 0.999)
    if plane is None or np.count_nonzero(inlier) < inliers_min:
        return None
    cell = look.corner + cv2.perspectiveTransform(look.middle[None, None], plane)[0, 0] + 0.5
    return prepared.options.local.enu_from_mercator_px(cell, prepared.mosaic.zoom - look.level, 0.0)[:2]


def peer(name: str, pairs_of: Callable[[Look], Pairs], one: PeerSet, prepared: PreparedPhotos) -> dict[str, Any]:
    """Figures of a peer over a set."""
    offsets, found, frames, cpu_ms = [], 0, 0, []
    for given in looks(one, prepared):
        began_s = time.process_time()
        look = given()
        at = found_at(look, pairs_of(look), INLIERS_MIN[name], prepared)
        cpu_ms.append(1000.0 * (time.process_time() - began_s))
        frames, found = frames + 1, found + (at is not None)
        if at is not None and look.truth_en_m is not None:
            c, s = math.cos(look.heading_rad), math.sin(look.heading_rad)
            offsets.append(np.array([[c, -s], [s, c]]) @ (at - look.truth_en_m))
    off_m = np.array([])
    if len(offsets) >= OFFSETS_MIN:
        off_m = np.hypot(*(np.array(offsets) - np.median(offsets, axis=0)).T)
    return {
        "frames": frames,
        "found": found,
        "false": int(np.count_nonzero(off_m > FALSE_M)) if one.own else found,
        "error_median_m": round(float(np.median(off_m)), 2) if len(off_m) else None,
        "cpu_ms_median": round(float(np.median(cpu_ms)), 1),
    }


def ours(one: PeerSet, request: PhotosRequest) -> dict[str, Any]:
    """Figures of the product over a set: as `operator-tool evaluate photos` counts."""
    told = evaluate_photos(request, prepare(request), "bench_peers", lambda _count: None).figures
    return {
        "frames": told["frames"],
        "found": told["anchored"],
        "false": told["false_anchors"] if one.own else told["anchored"],
        "error_median_m": told["anchored_error_m"]["median"],
        "cpu_ms_median": told["cpu_ms"]["p50"],
    }


def main() -> int:
    out, wanted = Path(sys.argv[1]), sys.argv[2:] or list(SETS)
    figures: dict[str, Any] = {}
    cv2.setNumThreads(1)
    xfeat = XFeat(DATA / "models")
    for name in wanted:
        one = SETS[name]
        if not (one.photos.is_dir() and one.map.is_file()):
            sys.exit(f"bench: no pictures of {name} under {DATA}: name the folder above it in GPS_DENIED_SHARED")
        request = PhotosRequest(
            one.photos, (one.map,), "exif", f"{PRIOR_M:g}" if one.own else "none", "exif", None, "exif", attitude="exif"
        )
        prepared = prepare(request)
        figures[name] = {
            "ours": ours(one, request),
            "SIFT": peer("sift", sift_pairs, one, prepared),
            "XFeat + LighterGlue": peer("xfeat", xfeat.pairs, one, prepared),
        }
    out.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
