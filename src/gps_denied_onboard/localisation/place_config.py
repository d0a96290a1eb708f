"""Configuration of the place search."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PlaceConfig:
    """Search steps. A frame's longer side becomes `footprint_cells` map cells in the correlation; without a position
    the search begins with `coarse_footprint_cells` and takes the coarse steps."""

    footprint_cells: float = 110.0
    coarse_footprint_cells: float = 64.0
    yaw_step_deg: float = 5.0
    height_step: float = 0.07
    coarse_yaw_step_deg: float = 7.5
    coarse_height_step: float = 0.10
    sigmas: float = 3.0
    whole_footprint_cells: float = 72.0
    whole_yaw_step_deg: float = 10.0
    whole_height_step: float = 0.12
    whole_cells_max: int = 3_000_000
    """A map of at most so many cells is searched as a whole in one pass at these steps, all channels compared: the
    right place was the best of the search in 29 of 30 real cross-sensor pictures, among the first three in all."""
    whole_candidates: int = 5
    candidates: int = 3
    candidates_unknown: int = 14
    candidates_unscaled: int = 40
    fine_heights_max: int = 5
    """With more height hypotheses than this the finer search of the whole map is left out: it would take too long."""
    unscaled_cells_max: int = 4_000_000
    """With an unknown height, heights for which the whole map has more cells than this are left out."""
    block_cells: int = 1024
    spectra_mb: int = 256
    """Of transforms of the parts of the map that are searched together: a template is transformed once for them."""
    threads_max: int = 4
    """That search one frame's window together, at most the cores that there are; each holds up to 40 MB."""
    same_place: float = 0.12
    """Places nearer than this part of the frame's ground length are one place: half the spacing at which two frames
    share no more than a flank of the correlation's peak."""
    window_margin: float = 0.75
    """Of the frame's ground length, around the prior's reach: half a diagonal of 4:3, and the peaks' flanks."""
    window_cells_max: int = 150_000_000
    """That a search around a position compares, under all headings and heights together: some seconds of one core. A
    wider window is cut to that: low over the ground, and in doubt, it has a hundred times as many."""
    tilt_reach_rad_max: float = 0.7
    """A tilt of more than 40 degrees looks at no ground that could be laid flat."""
    unknown_height_under: float = 0.2
    unknown_height_over: float = 8.0
    """An unknown height is searched between these multiples of the prior's."""
