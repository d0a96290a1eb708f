"""Frames laid on the map's grid: north-up, map resolution, Web-Mercator, for an assumed camera pose."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from gps_denied_onboard.errors import UserError
from gps_denied_onboard.geometry.camera import CameraModel
from gps_denied_onboard.geometry.geodesy import LocalFrame
from gps_denied_onboard.geometry.terrain import Terrain, meet_ground
from gps_denied_onboard.imaging.orientation import MaskArray
from gps_denied_onboard.messages import FloatArray, Frame, ImageArray

SIDE_CELLS_MAX = 4000
BORDER_POINTS = 8
"""Points on each side of a frame's border that are followed to hilly ground."""
NODE_CELLS = 12
"""Hilly ground is looked up at each so manieth cell and counts as even between."""
STRIP_PX = 100_000
"""Pixels of a picture whose distortion is worked out at a time, about."""


@dataclass(frozen=True, slots=True, eq=False)
class MapGrid:
    """Map cells of one pyramid level near a place, as a plane: ENU = `origin_enu_m` + `cell_enu_m` @ (cell - anchor).

    `cell` is (x, y) in global Web-Mercator pixels of the level (continuous, pixel centres at +0.5). The plane is
    tangent at `anchor_cell`; it is off by less than 0.1 m at 1 km.
    """

    level: int
    zoom: float
    anchor_cell: FloatArray
    origin_enu_m: FloatArray
    cell_enu_m: FloatArray
    ground_up_m: float

    @staticmethod
    def at(local: LocalFrame, map_zoom: int, level: int, centre_enu_m: FloatArray, ground_up_m: float) -> MapGrid:
        """Grid of a level of a map of `map_zoom`, tangent at `centre_enu_m` (2,)."""
        zoom = float(map_zoom - level)
        centre = np.array([centre_enu_m[0], centre_enu_m[1], ground_up_m])
        anchor = local.mercator_px_from_enu(centre, zoom)
        altitude_m = float(local.geodetic_from_enu(centre)[2])
        step = np.array([[0.0, 0.0], [100.0, 0.0], [0.0, 100.0]])
        enu = local.enu_from_mercator_px(anchor + step, zoom, altitude_m)[:, :2]
        columns = np.stack([(enu[1] - enu[0]) / 100.0, (enu[2] - enu[0]) / 100.0], axis=1)
        return MapGrid(level, zoom, anchor, enu[0], columns, ground_up_m)

    @property
    def gsd_m(self) -> float:
        """Ground size of a cell."""
        return float(np.sqrt(abs(np.linalg.det(self.cell_enu_m))))

    def enu_from_cell(self, cell: npt.ArrayLike) -> FloatArray:
        """(N, 2) east, north of (N, 2) cells."""
        return np.asarray(self.origin_enu_m + (np.asarray(cell) - self.anchor_cell) @ self.cell_enu_m.T)

    def cell_from_enu(self, enu_m: npt.ArrayLike) -> FloatArray:
        """(N, 2) cells of (N, 2) east, north."""
        return np.asarray(self.anchor_cell + (np.asarray(enu_m) - self.origin_enu_m) @ np.linalg.inv(self.cell_enu_m).T)


@dataclass(frozen=True, slots=True, eq=False)
class Rectified:
    """A frame on a grid: `image`, `valid` (H, W) start at cell (`x0`, `y0`); `cell_to_pixel` (3, 3) maps global cells
    (continuous) of the grid's plane to pixels of the ideal (undistorted) full-size frame; `view` does so for those on
    hilly ground, None where the frame was laid on the plane."""

    image: ImageArray
    valid: MaskArray
    x0: int
    y0: int
    cell_to_pixel: FloatArray
    view: HillyView | None = None


@dataclass(frozen=True, slots=True, eq=False)
class HillyView:
    """A camera over ground with heights, and a grid on it."""

    grid: MapGrid
    position_enu_m: FloatArray
    rotation_camera_to_enu: FloatArray
    matrix: FloatArray
    ground: Terrain

    def pixels(self, cells: FloatArray) -> FloatArray:
        """(N, 2) pixels of the ideal frame of the ground at (N, 2) global cells."""
        east_north = self.grid.enu_from_cell(cells)
        ray = (np.column_stack([east_north, self.ground.ups_m(east_north)]) - self.position_enu_m) @ (
            self.rotation_camera_to_enu
        )
        return np.asarray(_apply(self.matrix, ray[:, :2] / np.maximum(ray[:, 2:], 1e-3)))

    def cells(self, pixels: FloatArray) -> FloatArray:
        """(N, 2) global cells where the rays of (N, 2) pixels meet the ground; NaN at or above the horizon."""
        rays = np.c_[pixels, np.ones(len(pixels))] @ np.linalg.inv(self.matrix).T @ self.rotation_camera_to_enu.T
        return self.grid.cell_from_enu(meet_ground(self.ground, self.position_enu_m, rays)[:, :2])


class Orthorectifier:
    """One frame, undistorted once, ready to be laid on grids under different poses. `ground` None: a grid's plane."""

    def __init__(self, frame: Frame, lens: Undistorter, ground: Terrain | None = None) -> None:
        self._camera = lens.camera
        self.ground = ground
        self._image, self._valid = lens.apply(frame.image)
        self._shrunk: dict[float, tuple[ImageArray, MaskArray | None]] = {}
        h, w = self._image.shape
        self._border = np.array([[-0.5, -0.5], [w - 0.5, -0.5], [w - 0.5, h - 0.5], [-0.5, h - 0.5]])

    def orthorectify(
        self, grid: MapGrid, position_enu_m: FloatArray, rotation_camera_to_enu: FloatArray, plane: bool = False
    ) -> Rectified | None:
        """The frame on `grid` seen from a pose; None when the pose does not look at the ground with the whole frame.
        `plane`: on the grid's plane, whatever the ground."""
        if self.ground is not None and self.ground.flat is not None and not plane:
            camera = self._camera.matrix
            return self._on_hills(HillyView(grid, position_enu_m, rotation_camera_to_enu, camera, self.ground))
        pixel_from_cell = self._homography(grid, position_enu_m, rotation_camera_to_enu)
        corners = _apply(np.asarray(np.linalg.inv(pixel_from_cell), dtype=np.float64), self._border)
        ray = rotation_camera_to_enu @ np.linalg.inv(self._camera.matrix) @ np.c_[self._border, np.ones(4)].T
        if not np.all(ray[2] < -0.05) or not np.all(np.isfinite(corners)):
            return None
        x0, y0 = np.floor(corners.min(axis=0)).astype(int)
        x1, y1 = np.ceil(corners.max(axis=0)).astype(int)
        if x1 - x0 > SIDE_CELLS_MAX or y1 - y0 > SIDE_CELLS_MAX or x1 - x0 < 8 or y1 - y0 < 8:
            return None
        area = abs(float(cv2.contourArea(corners.astype(np.float32))))
        image, valid, scale = self._at_scale(float(np.sqrt(area / self._image.size)))
        shift = np.array([[1.0, 0.0, x0 + 0.5], [0.0, 1.0, y0 + 0.5], [0.0, 0.0, 1.0]])
        to_small = np.array([[scale, 0.0, 0.5 * scale - 0.5], [0.0, scale, 0.5 * scale - 0.5], [0.0, 0.0, 1.0]])
        h = to_small @ pixel_from_cell @ shift
        size = (int(x1 - x0), int(y1 - y0))
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        laid: Any = cv2.warpPerspective(image, h, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
        inside: npt.NDArray[Any] = np.zeros((size[1], size[0]), np.uint8)
        cv2.fillConvexPoly(inside, np.round((corners - (x0, y0)) * 16 - 8).astype(np.int32), 1, shift=4)
        if valid is not None:
            mask = cv2.warpPerspective(valid.astype(np.uint8), h, size, flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP)
            inside = inside & mask
        return Rectified(laid, inside > 0, int(x0), int(y0), pixel_from_cell)

    def _on_hills(self, view: HillyView) -> Rectified | None:
        """The frame as `orthorectify` lays it, on ground with heights."""
        share = np.arange(4 * BORDER_POINTS) / BORDER_POINTS
        side = share.astype(int)
        border = self._border[side] + (self._border[(side + 1) % 4] - self._border[side]) * (share - side)[:, None]
        rays = np.c_[border, np.ones(len(border))] @ np.linalg.inv(view.matrix).T @ view.rotation_camera_to_enu.T
        outline = view.cells(border)
        if not np.all(rays[:, 2] < -0.05) or not np.all(np.isfinite(outline)):
            return None
        x0, y0 = np.floor(outline.min(axis=0)).astype(int)
        x1, y1 = np.ceil(outline.max(axis=0)).astype(int)
        if x1 - x0 > SIDE_CELLS_MAX or y1 - y0 > SIDE_CELLS_MAX or x1 - x0 < 8 or y1 - y0 < 8:
            return None
        area = abs(float(cv2.contourArea(outline.astype(np.float32))))
        image, valid, scale = self._at_scale(float(np.sqrt(area / self._image.size)))
        size = (int(x1 - x0), int(y1 - y0))
        columns, rows = (np.arange(0, side_cells + NODE_CELLS, NODE_CELLS) for side_cells in size)
        nodes = np.stack(np.meshgrid(x0 + 0.5 + columns, y0 + 0.5 + rows), axis=-1).reshape(-1, 2)
        pixels = (view.pixels(nodes) + 0.5) * scale - 0.5
        coarse = pixels.reshape(len(rows), len(columns), 2).astype(np.float32)
        shrink = np.array([[1.0 / NODE_CELLS, 0.0, 0.0], [0.0, 1.0 / NODE_CELLS, 0.0]])
        fine: Any = cv2.warpAffine(coarse, shrink, size, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
        east, south = fine[..., 0], fine[..., 1]
        laid: Any = cv2.remap(image, east, south, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        inside: npt.NDArray[Any] = np.zeros((size[1], size[0]), np.uint8)
        cv2.fillPoly(inside, [np.round((outline - (x0, y0)) * 16 - 8).astype(np.int32)], 1, shift=4)
        if valid is not None:
            mask = cv2.remap(valid.astype(np.uint8), east, south, cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT)
            inside = inside & mask
        plane = self._homography(view.grid, view.position_enu_m, view.rotation_camera_to_enu)
        return Rectified(laid, inside > 0, int(x0), int(y0), plane, view)

    def _homography(self, grid: MapGrid, position: FloatArray, rotation: FloatArray) -> FloatArray:
        origin = grid.origin_enu_m - grid.cell_enu_m @ grid.anchor_cell
        plane = np.zeros((3, 3))
        plane[:2, :2] = grid.cell_enu_m
        plane[:, 2] = np.array([origin[0], origin[1], grid.ground_up_m]) - position
        h = self._camera.matrix @ rotation.T @ plane
        return np.asarray(h / np.linalg.norm(h[2]))

    def _at_scale(self, cells_per_pixel: float) -> tuple[ImageArray, MaskArray | None, float]:
        """The picture averaged down to about the grid's resolution (power of two), against aliasing."""
        scale = 1.0
        while cells_per_pixel < 0.6 * scale and scale > 1.0 / 64.0:
            scale /= 2.0
        if scale not in self._shrunk:
            if scale == 1.0:
                self._shrunk[scale] = (self._image, self._valid)
            else:
                size = (max(1, int(self._image.shape[1] * scale)), max(1, int(self._image.shape[0] * scale)))
                crop_w, crop_h = int(size[0] / scale), int(size[1] / scale)
                small: Any = cv2.resize(self._image[:crop_h, :crop_w], size, interpolation=cv2.INTER_AREA)
                mask = None
                if self._valid is not None:
                    shrunk = cv2.resize(self._valid[:crop_h, :crop_w].astype(np.uint8) * 255, size)
                    mask = shrunk > 250
                self._shrunk[scale] = (small, mask)
        return (*self._shrunk[scale], scale)


def _maps_of_rows(camera: CameraModel, rows: npt.NDArray[np.intp]) -> tuple[Any, Any, MaskArray]:
    """Of some rows of the ideal picture: OpenCV's fixed-point maps into the camera's picture, and which pixels lie in
    that. A pixel takes a hundred bytes on the way."""
    w, h = camera.width_px, camera.height_px
    x, y = np.meshgrid(np.arange(w, dtype=float), rows.astype(float))
    ideal = np.stack([(x - camera.cx_px) / camera.fx_px, (y - camera.cy_px) / camera.fy_px], axis=-1)
    seen = camera.distort(ideal.reshape(-1, 2)).reshape(len(rows), w, 2).astype(np.float32)
    inside = (seen >= 0).all(axis=-1) & (seen[..., 0] <= w - 1) & (seen[..., 1] <= h - 1)
    return *cv2.convertMaps(seen[..., 0], seen[..., 1], cv2.CV_16SC2), inside


class Undistorter:
    """Turns pictures of a camera into those of the ideal pinhole with the same matrix; the maps are made once."""

    def __init__(self, camera: CameraModel) -> None:
        self.camera = camera
        self._maps: tuple[Any, Any] | None = None
        self._valid: MaskArray | None = None
        if camera.distortion_model != "none":
            h, w = camera.height_px, camera.width_px
            seen, between = np.empty((h, w, 2), np.int16), np.empty((h, w), np.uint16)
            inside = np.empty((h, w), np.bool_)
            for rows in np.array_split(np.arange(h), -(-h * w // STRIP_PX)):
                seen[rows], between[rows], inside[rows] = _maps_of_rows(camera, rows)
            self._maps = (seen, between)
            self._valid = None if inside.all() else inside

    def apply(self, image: ImageArray) -> tuple[ImageArray, MaskArray | None]:
        """Grey ideal picture and where it has data (None: everywhere). Raises UserError for another frame size."""
        size = (self.camera.width_px, self.camera.height_px)
        if (image.shape[1], image.shape[0]) != size:
            raise UserError(
                f"frame is {image.shape[1]}x{image.shape[0]} px, the camera calibration is for {size[0]}x{size[1]}; "
                "give the calibration of this camera mode, or frames of one size."
            )
        grey: Any = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY) if image.ndim == 3 else image
        if self._maps is None:
            return grey, None
        ideal: Any = cv2.remap(grey, self._maps[0], self._maps[1], cv2.INTER_LINEAR)
        return ideal, self._valid


def _apply(h: FloatArray, points: npt.ArrayLike) -> FloatArray:
    """(N, 2) points through a homography."""
    p = np.c_[np.asarray(points, dtype=float), np.ones(len(np.asarray(points)))] @ h.T
    return np.asarray(p[:, :2] / p[:, 2:])


def pixels_from_cells(rectified: Rectified, cells: npt.ArrayLike) -> FloatArray:
    """(N, 2) pixels of the ideal frame that lie on (N, 2) global cells, under the pose of `rectified`."""
    if rectified.view is not None:
        return rectified.view.pixels(np.asarray(cells, dtype=np.float64))
    return _apply(rectified.cell_to_pixel, cells)
