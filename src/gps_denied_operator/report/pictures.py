"""Pictures for the report: the map behind a flight, and the worst frames beside the map place they were put at."""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np

from gps_denied_onboard.geometry.camera import CameraModel, ground_points
from gps_denied_onboard.geometry.geodesy import (
    LocalFrame,
    geodetic_from_mercator_px,
    mercator_px_from_geodetic,
    mercator_resolution_m,
)
from gps_denied_onboard.geometry.rotations import ROTATION_NED_TO_ENU, matrix_from_quaternion
from gps_denied_onboard.messages import FloatArray, ImageArray, NavState
from gps_denied_onboard.tiles.mosaic import LEVEL_MAX, MapMosaic
from gps_denied_operator.report.model import MapPicture
from gps_denied_operator.scoring.frames import FrameResult
from gps_denied_operator.scoring.metrics import FALSE_ANCHOR_M, frame_error, is_anchored

THUMBNAIL_WIDTH_PX = 480
JPEG_QUALITY = 72
NO_MAP_GREY = 228
GRID = 25
SHAPE = 1.6


def jpeg(image: ImageArray, quality: int = JPEG_QUALITY) -> bytes:
    """The picture as JPEG."""
    encoded, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert encoded
    return data.tobytes()


def thumbnail(image: ImageArray, width_px: int = THUMBNAIL_WIDTH_PX) -> ImageArray:
    """The picture made smaller to a width, its shape kept; a smaller one as it is."""
    height, width = image.shape[:2]
    if width <= width_px:
        return image
    size = (width_px, max(1, round(height * width_px / width)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def readable(image: ImageArray) -> ImageArray:
    """The picture with its brightness stretched, so that a dark one can be read on a bright screen."""
    low, high = np.percentile(image, (0.5, 99.5))
    gain = 225.0 / max(float(high - low), 32.0)
    stretched = np.clip((image.astype(np.float32) - low) * gain + 15.0, 0, 255)
    return np.asarray(stretched, dtype=np.uint8)


def background(mosaic: MapMosaic, rows: Sequence[FrameResult], margin_m: float, width_px: int) -> MapPicture | None:
    """The map around truth and estimates of a flight; all of the map where there are neither."""
    places = [(r.truth_latitude_deg, r.truth_longitude_deg) for r in rows if r.scored]
    places += [(s.latitude_deg, s.longitude_deg) for r in rows if (s := r.estimate) is not None]
    x0, y0, x1, y1 = _box(mosaic, np.array(places, dtype=float).reshape(-1, 2), margin_m)
    if x1 - x0 < 8 or y1 - y0 < 8:
        return None
    level = min(max(math.ceil(math.log2(max(x1 - x0, y1 - y0) / width_px)), 0), LEVEL_MAX)
    left, top, right, bottom = x0 >> level, y0 >> level, -(-x1 >> level), -(-y1 >> level)
    grey, valid = mosaic.window(level, left, top, right - left, bottom - top)
    if not valid.any():
        return None
    stretched = readable(thumbnail(grey, width_px))
    shown = np.where(thumbnail(valid.astype(np.uint8) * 255, width_px) > 127, stretched, NO_MAP_GREY).astype(np.uint8)
    corners = geodetic_from_mercator_px(np.array([[left, top], [right, bottom]]) * 2.0**level, mosaic.zoom)
    (north, west), (south, east) = corners
    return MapPicture(jpeg(shown, 68), float(north), float(south), float(east), float(west))


def _box(mosaic: MapMosaic, places_deg: FloatArray, margin_m: float) -> tuple[int, int, int, int]:
    """Level-0 pixels around the places that lie on the map, as far as the map goes."""
    x0, y0, x1, y1 = mosaic.bounds_px(0)
    if not len(places_deg):
        return x0, y0, x1, y1
    pixel = mercator_px_from_geodetic(places_deg[:, 0], places_deg[:, 1], mosaic.zoom)
    margin = margin_m / mercator_resolution_m(float(np.median(places_deg[:, 0])), mosaic.zoom)
    low, high = pixel.min(axis=0) - margin, pixel.max(axis=0) + margin
    wanted = np.maximum(high - low, (high - low)[::-1] * (SHAPE, 1.0 / SHAPE))  # the page's map is wider than high
    low, high = (low + high - wanted) / 2.0, (low + high + wanted) / 2.0
    return max(x0, int(low[0])), max(y0, int(low[1])), min(x1, int(high[0])), min(y1, int(high[1]))


def camera_pose(row: FrameResult, local: LocalFrame, camera: CameraModel) -> tuple[FloatArray, FloatArray] | None:
    """Position ENU and rotation camera to ENU that a frame was put at: by its map fix, else by the estimate."""
    fix = row.fix
    if fix is not None and np.isfinite(fix.position_enu_m).all() and np.isfinite(fix.rotation_camera_to_enu).all():
        return fix.position_enu_m, fix.rotation_camera_to_enu
    return None if row.estimate is None else _state_pose(row.estimate, local, camera)


def _state_pose(state: NavState, local: LocalFrame, camera: CameraModel) -> tuple[FloatArray, FloatArray]:
    position = local.enu_from_geodetic(state.latitude_deg, state.longitude_deg, state.altitude_amsl_m)
    return position, ROTATION_NED_TO_ENU @ matrix_from_quaternion(state.quaternion_body_to_ned) @ camera.mount


def map_view(
    mosaic: MapMosaic,
    local: LocalFrame,
    camera: CameraModel,
    pose: tuple[FloatArray, FloatArray],
    ground_up_m: float = 0.0,
    width_px: int = THUMBNAIL_WIDTH_PX,
) -> ImageArray | None:
    """(H, W) grey: the map as the camera would see it from a pose over flat ground; None where there is nothing to see.

    A coarse grid of pixels is put onto the ground exactly and the map is sampled in between.
    """
    small = camera.resized(width_px, max(32, round(camera.height_px * width_px / camera.width_px)))
    u, v = np.meshgrid(np.linspace(0, small.width_px - 1, GRID), np.linspace(0, small.height_px - 1, GRID))
    ground = ground_points(small, np.stack([u.ravel(), v.ravel()], axis=1), pose[0], pose[1], ground_up_m)
    if not np.isfinite(ground).all() or np.abs(ground - pose[0]).max() > 20_000.0:
        return None
    pixel = local.mercator_px_from_enu(ground, mosaic.zoom).reshape(GRID, GRID, 2)
    step = np.linalg.norm(np.diff(pixel, axis=1), axis=2).mean() * GRID / small.width_px
    level = min(max(math.floor(math.log2(max(step, 1e-6))), 0), LEVEL_MAX)
    pixel = pixel / 2.0**level - 0.5
    low = np.floor(pixel.min(axis=(0, 1))).astype(int) - 1
    width, height = (np.ceil(pixel.max(axis=(0, 1))).astype(int) + 2 - low).tolist()
    if width * height > 16_000_000:
        return None
    grey, valid = mosaic.window(level, int(low[0]), int(low[1]), width, height)
    if not valid.any():
        return None
    shown = np.where(valid, grey, NO_MAP_GREY).astype(np.uint8)
    dense = cv2.warpAffine(
        (pixel - low).astype(np.float32),
        np.array([[(GRID - 1) / (small.width_px - 1), 0.0, 0.0], [0.0, (GRID - 1) / (small.height_px - 1), 0.0]]),
        (small.width_px, small.height_px),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    x, y = np.ascontiguousarray(dense[..., 0]), np.ascontiguousarray(dense[..., 1])
    view = cv2.remap(shown, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=NO_MAP_GREY)
    return readable(np.asarray(view, dtype=np.uint8))


def worst_first(rows: Sequence[FrameResult], count: int) -> list[int]:
    """Numbers of up to `count` rows that a person should look at, worst first and not all from one moment.

    False anchors come before other errors by size; frames without an estimate or with a rejected map fix fill up,
    spread over the flight.
    """
    errors = {i: error.distance_m for i, row in enumerate(rows) if (error := frame_error(row)) is not None}
    false = {i for i, distance in errors.items() if distance > FALSE_ANCHOR_M and is_anchored(rows[i])}
    ranked = sorted(errors, key=lambda i: (i not in false, -errors[i], i))
    silent = [i for i, row in enumerate(rows) if row.estimate is None or (row.fix is not None and not row.fix.accepted)]
    spread = [silent[round(k)] for k in np.linspace(0, len(silent) - 1, min(count, len(silent)))] if silent else []
    chosen: list[int] = []
    for i in [*ranked, *spread] if errors else spread:
        if len(chosen) >= count:
            break
        if all(abs(i - other) > len(rows) // (4 * count) for other in chosen):
            chosen.append(i)
    return chosen
