"""The boresight of a set of pictures, found from their own matches with a map."""

from __future__ import annotations

import math
from contextlib import ExitStack
from pathlib import Path

import cv2
import numpy as np
import pytest
import rasterio
from PIL import Image
from rasterio.transform import from_origin

from gps_denied_onboard.geometry.rotations import exp_rotation
from gps_denied_onboard.messages import FloatArray, ImageArray
from gps_denied_operator.evaluate.photo_attitude import Attitude
from gps_denied_operator.evaluate.photos_run import PhotosRequest, prepare, with_boresight

EAST, NORTH, STEP_M, SIDE = 500000.0, 5360000.0, 0.5, 1200
HEIGHT_M, SIZE, FOV_DEG = 120.0, (640, 480), 60.0
NADIR = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
FLOWN = [(10.0, 5.0, -4.0), (12.0, -6.0, 3.0), (8.0, 2.0, 7.0), (100.0, -5.0, -6.0), (103.0, 7.0, 1.0),
         (98.0, -3.0, 5.0), (190.0, 4.0, 6.0), (193.0, -7.0, -2.0), (280.0, 6.0, -7.0), (283.0, -4.0, 4.0)]  # fmt: skip


def ground(rng: np.random.Generator) -> ImageArray:
    """Fields and houses: polygons of many sizes."""
    image = np.full((SIDE, SIDE), 110, np.uint8)
    for size, count in ((120, 60), (40, 260), (12, 900)):
        for _ in range(count):
            shape = rng.uniform(0, SIDE, 2) + rng.normal(0, size / 2, (4, 2))
            cv2.fillConvexPoly(image, cv2.convexHull(shape.astype(np.int32)), int(rng.integers(30, 230)))
    return image


def picture(image: ImageArray, at_m: FloatArray, rotation_camera_to_ned: FloatArray) -> ImageArray:
    """What a camera sees from `at_m` (east, north of the map's corner)."""
    focal = SIZE[0] / 2.0 / math.tan(math.radians(FOV_DEG / 2.0))
    k = np.array([[focal, 0.0, (SIZE[0] - 1) / 2.0], [0.0, focal, (SIZE[1] - 1) / 2.0], [0.0, 0.0, 1.0]])
    # map pixel -> north, east, down from the camera
    plane = np.array([[0.0, -STEP_M, SIDE * STEP_M - at_m[1]], [STEP_M, 0.0, -at_m[0]], [0.0, 0.0, HEIGHT_M]])
    seen = cv2.warpPerspective(image, k @ rotation_camera_to_ned.T @ plane, SIZE, flags=cv2.INTER_AREA)
    return np.asarray(seen, dtype=np.uint8)


def save(path: Path, image: ImageArray, flown: tuple[float, float, float], second: int) -> None:
    """A picture with the metadata of a small multicopter: gimbal angles zero, flight angles recorded."""
    yaw, pitch, roll = flown
    xmp = (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        '<rdf:Description rdf:about="" xmlns:d="http://www.dji.com/drone-dji/1.0/" d:GimbalRollDegree="0.00" '
        f'd:GimbalYawDegree="0.00" d:GimbalPitchDegree="0.00" d:FlightRollDegree="{roll}" d:FlightYawDegree="{yaw}" '
        f'd:FlightPitchDegree="{pitch}" d:RelativeAltitude="{HEIGHT_M}"/></rdf:RDF></x:xmpmeta>'
    )
    exif = Image.Exif()
    exif.get_ifd(0x8769).update({0x9003: f"2026:05:01 10:00:{second:02d}"})
    Image.fromarray(image).save(path, exif=exif, xmp=xmp.encode(), quality=90)


@pytest.mark.slow
@pytest.mark.parametrize("leans", [False, True], ids=["held by a gimbal", "fixed to the aircraft"])
def test_boresight_and_whether_the_camera_leans_are_found(tmp_path: Path, leans: bool) -> None:
    """Six degrees forward and two to the right come out to a degree, and so does the kind of mount."""
    rng = np.random.default_rng(2)
    image = ground(rng)
    with rasterio.open(
        tmp_path / "map.tif", "w", driver="GTiff", width=SIDE, height=SIDE, count=1, dtype="uint8", crs="EPSG:32637",
        transform=from_origin(EAST, NORTH, STEP_M, STEP_M),
    ) as raster:  # fmt: skip
        raster.write(image[None])
    boresight = exp_rotation(np.radians([6.0, -2.0, 0.0]))
    (tmp_path / "photos").mkdir()
    for k, flown in enumerate(FLOWN):
        body = Attitude(*flown if leans else flown[:1]).rotation_body_to_ned
        at_m = np.array([230.0, 230.0]) + rng.uniform(0.0, 140.0, 2)
        seen = picture(image, at_m, body @ NADIR @ boresight)
        save(tmp_path / "photos" / f"P{k}.jpg", seen, flown, 4 * k)
    request = PhotosRequest(
        tmp_path / "photos", (tmp_path / "map.tif",), None, attitude="exif", height="exif", fov_deg=FOV_DEG
    )
    with ExitStack() as closing:
        found = with_boresight(prepare(request), closing)[0].options.boresight
    assert found is not None
    assert found.pitch_deg == pytest.approx(6.0, abs=1.0)
    assert found.roll_deg == pytest.approx(2.0, abs=1.0)
    assert any("a gimbal holds the camera" in note for note in found.notes) is not leans
