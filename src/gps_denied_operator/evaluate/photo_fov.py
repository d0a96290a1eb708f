"""The field of view of a set of photographs by its metadata and by the heights found; pictures that do not belong."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Sequence

import numpy as np

from gps_denied_onboard.frames.camera_metadata import CombinedView, combined_view
from gps_denied_onboard.frames.photo_info import PhotoInfo
from gps_denied_onboard.geometry.camera import CameraModel
from gps_denied_operator.evaluate.boresight import Boresight
from gps_denied_operator.evaluate.photo_options import PhotoOptions

OTHER_VIEW = 0.03
LOW_SHARE = 0.25
LOW_USUAL_M = 20.0
HEIGHT_SIGMA = 0.08
RELIEF_SIGMA = 0.02
ASSUMED_SIGMA = 0.2
"""Of the field of view where neither the command nor the pictures tell it."""


def view_of_photos(photos: Sequence[PhotoInfo]) -> tuple[CombinedView | None, list[str], frozenset[int]]:
    """The view that all sources agree on, notes for the report, and the indices of pictures of another camera.

    Most pictures decide which camera it is: by its name, and by a field of view within OTHER_VIEW of the usual one.
    Where most are known, a digital zoom of which it is not known what it means is another camera's.
    """
    if not photos:
        return None, [], frozenset()
    views = [combined_view(photo.camera.views) for photo in photos]
    usual_name = Counter(photo.camera_name for photo in photos).most_common(1)[0][0]
    of_usual = [k for k, photo in enumerate(photos) if photo.camera_name == usual_name]
    known = [view for k in of_usual if (view := views[k]) is not None]
    usual = sorted(known, key=lambda view: view.tan_half)[len(known) // 2] if known else None
    others = frozenset(
        k
        for k, (photo, view) in enumerate(zip(photos, views, strict=True))
        if photo.camera_name != usual_name
        or (usual and view and abs(math.log(view.tan_half / usual.tan_half)) > OTHER_VIEW)
        or (2 * len(known) > len(of_usual) and not photo.camera.zoom_known)
    )
    notes = [_reading(usual)] if usual is not None else []
    if others:
        odd = photos[min(others)]
        view = views[min(others)]
        said = f", {view.fov_deg:.0f} degrees wide" if view is not None else ""
        notes.append(
            f"{len(others)} of {len(photos)} pictures are of another camera or zoom ({odd.path.name}: "
            f"{odd.camera_name or 'no name'}{said}) and are not searched for; give them in a folder of their own."
        )
    return usual, notes, others


def _reading(view: CombinedView) -> str:
    """What is used, by which sources, and which say otherwise."""
    by = ", ".join(f"{one.source.value} ({one.rule}) {one.fov_deg:.1f}" for one in view.agreeing)
    sigma_deg = math.degrees(2.0 * view.sigma * view.tan_half / (1.0 + view.tan_half**2))
    text = f"Field of view {view.fov_deg:.1f} degrees, sigma {sigma_deg:.1f}, by {by}."
    if view.contradicting:
        against = ", ".join(f"{one.source.value} {one.fov_deg:.1f}" for one in view.contradicting)
        text += f" The metadata contradict themselves: {against}; give --fov if that is right."
    return text


def low_pictures(photos: Sequence[PhotoInfo]) -> tuple[list[str], frozenset[int]]:
    """Notes and indices of pictures whose height is told as a small part of the others': on the ground, or nearly.

    Where most are so low, the heights mean nothing (a take-off from a hill) and none is named.
    """
    heights = {k: p.relative_altitude_m for k, p in enumerate(photos) if p.relative_altitude_m is not None}
    if not heights:
        return [], frozenset()
    usual = float(np.median(list(heights.values())))
    low = frozenset(k for k, height in heights.items() if height < LOW_SHARE * usual)
    if not low or usual < LOW_USUAL_M:
        return [], frozenset()
    lowest = min(heights[k] for k in low)
    return [
        f"{len(low)} of {len(photos)} pictures were taken {lowest:.0f} m and more above the start where the others are "
        f"at {usual:.0f} m, and are not searched for."
    ], low


def with_found_view(options: PhotoOptions, found: Boresight) -> PhotoOptions:
    """The options with the field of view that heights found over heights told make likely, and a smaller doubt.

    The scale found is that of view and height together: each gets the share of its doubt.
    """
    told = options.attitudes is not None and math.isfinite(found.scale) and found.scale > 0.0
    if not told or options.fov_sigma <= 0.0:
        return options
    other = math.hypot(HEIGHT_SIGMA, found.scale_sigma, RELIEF_SIGMA)
    share = options.fov_sigma**2 / (options.fov_sigma**2 + other**2)
    camera = options.camera
    factor = math.exp(share * float(np.log(found.scale)))
    changed: CameraModel = dataclasses.replace(camera, fx_px=camera.fx_px / factor, fy_px=camera.fy_px / factor)
    sigma = options.fov_sigma * math.sqrt(1.0 - share)
    return dataclasses.replace(options, camera=changed, fov_sigma=sigma)
