"""`evaluate photos` around the estimation: frames, truth, map, what may be known, rows and pictures."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from gps_denied_onboard.config import Config, load_config
from gps_denied_onboard.errors import UserError
from gps_denied_onboard.frames.folder import SUFFIXES, FolderSource, read_image
from gps_denied_onboard.frames.photo_info import PhotoInfo
from gps_denied_onboard.frames.video import VideoSource
from gps_denied_onboard.geometry.camera import CameraModel
from gps_denied_onboard.geometry.geodesy import LocalFrame, geodetic_from_mercator_px
from gps_denied_onboard.localisation.place_search import GridPlace
from gps_denied_onboard.messages import Frame
from gps_denied_onboard.recorder.kinds import FrameRecord
from gps_denied_onboard.tiles.grid import TILE_PX
from gps_denied_onboard.tiles.mosaic import LEVEL_MAX, MapMosaic
from gps_denied_onboard.tiles.sources import TileSource
from gps_denied_operator.evaluate import machine
from gps_denied_operator.evaluate.boresight import WIDE, WIDE_REACH_CELLS, BoresightFinder
from gps_denied_operator.evaluate.configuration import SHA256, SHORT, configuration_facts
from gps_denied_operator.evaluate.flight_worker import PICTURE_MARGIN_M, Collector
from gps_denied_operator.evaluate.photo_attitude import (
    PhotoAttitudes,
    attitudes_of_photos,
    attitudes_of_table,
    headings_of_photos,
)
from gps_denied_operator.evaluate.photo_figures import photo_figures
from gps_denied_operator.evaluate.photo_fov import ASSUMED_SIGMA, low_pictures, view_of_photos, with_found_view
from gps_denied_operator.evaluate.photo_options import (
    PhotoOptions,
    camera_for,
    displaced,
    distance_to_box_m,
    parse_choice,
    refuse_swapped,
    without_position,
)
from gps_denied_operator.evaluate.photo_scale import found_otherwise
from gps_denied_operator.evaluate.photos import build_finding, run_photos, told_height
from gps_denied_operator.report import pictures
from gps_denied_operator.report.model import FlightPart, Report
from gps_denied_operator.report.verdict import NOTHING_ANCHORED, verdict
from gps_denied_operator.scoring.frames import FrameResult, RunFacts
from gps_denied_operator.scoring.metrics import figures
from gps_denied_operator.scoring.truth import Lookup, TruePlace, read_truth_csv, truth_of_photos
from gps_denied_operator.tiles.direct import open_tile_source

VIDEO_STEP_NS = 450_000_000
"""Of a video's frames without truth one is used at most this often: the aircraft too flies with 0.5 to 3 a second."""
WORST = 9
MAP_WIDTH_PX = 1500
MAP_CACHE_BYTES = 256 * 1024 * 1024
THUMBNAILS_KEPT = 2_000


@dataclass(frozen=True, slots=True)
class PhotosRequest:
    """The command's options as told."""

    photos: Path
    maps: tuple[Path, ...]
    truth: str | None = None
    prior: str = "none"
    heading: str = "none"
    fov_deg: float | None = None
    height: str = "none"
    seed: int = 0
    config_path: Path | None = None
    attitude: str = "none"


@dataclass(frozen=True, slots=True, eq=False)
class PreparedPhotos:
    """Everything checked and open; `frames` is the source, `lookup` the truth, both only for the shell. `others` are
    the indices of pictures of another camera or from the ground, which are not searched for."""

    frames: FolderSource | VideoSource
    infos: tuple[PhotoInfo, ...]
    lookup: Lookup
    truth_frames: frozenset[int] | None
    mosaic: MapMosaic
    options: PhotoOptions
    notes: tuple[str, ...]
    config: Config
    others: frozenset[int] = frozenset()


def prepare(request: PhotosRequest) -> PreparedPhotos:
    """Open and check all inputs. UserError, in one sentence, for whatever is wrong with them."""
    prior = parse_choice("--prior", request.prior, 0.1, 100_000.0, ("none",))
    heading = parse_choice("--heading", request.heading, -360.0, 360.0, ("exif", "none"))
    height = parse_choice("--height", request.height, 1.0, 20_000.0, ("exif", "none"))
    if request.fov_deg is not None and not 1.0 <= request.fov_deg <= 170.0:
        raise UserError(f"--fov must be the horizontal field of view, 1 to 170 degrees, got {request.fov_deg:g}.")
    config = load_config(request.config_path)
    frames = open_frames(request.photos)
    photos = frames.photos if isinstance(frames, FolderSource) else ()
    _refuse_absent(request, photos)
    attitudes = _attitudes(request, heading, photos)
    tiles = open_tile_source(request.maps)
    mosaic = MapMosaic(tiles, MAP_CACHE_BYTES, finest_kept=_finest_kept(tiles))
    lookup, places, numbers, notes = _truth(request, frames)
    box = map_box_deg(mosaic)
    refuse_swapped(list(places.values()), box)
    if prior != "none" and (not places or (numbers is None and not photos)):
        raise UserError(
            "--prior needs positions by picture or by a video's frame number; give --truth with such a CSV file, or "
            "--prior none."
        )
    view, view_notes, others = view_of_photos(photos)
    if height == "exif":
        low_notes, low = low_pictures(photos)
        view_notes, others = [*view_notes, *low_notes], others | low
    camera, known = camera_for(frames.size_px, request.fov_deg, None if view is None else view.fov_deg)
    fov_sigma = view.sigma if view is not None else ASSUMED_SIGMA
    options = PhotoOptions(
        local=LocalFrame((box[0] + box[2]) / 2.0, (box[1] + box[3]) / 2.0, 0.0),
        camera=camera,
        fov_known=known,
        heading_deg=None if isinstance(heading, str) else heading % 360.0,
        height_m=None if isinstance(height, str) else height,
        priors={} if isinstance(prior, str) else displaced(places, prior, request.seed),
        fov_sigma=0.0 if request.fov_deg is not None else fov_sigma,
        attitudes=attitudes,
    )
    infos = without_position(photos, heading=heading == "exif", height=height == "exif")
    outside = [*_outside(list(places.values()), box), *_on_one_place(request.maps), *map_notes(tiles)]
    if request.fov_deg is not None:
        view_notes = [note for note in view_notes if not note.startswith("Field of view")]
    told = [*notes, *outside, *view_notes, *(attitudes.notes if attitudes else ())]
    return PreparedPhotos(frames, infos, lookup, numbers, mosaic, options, tuple(told), config, others)


def _attitudes(request: PhotosRequest, heading: float | str, photos: Sequence[PhotoInfo]) -> PhotoAttitudes | None:
    """Of the pictures' metadata or of a table; with `--heading exif` alone their headings. UserError where none is."""
    told = request.attitude.strip()
    if told.lower() == "exif":
        found = attitudes_of_photos(photos)
        if found is None:
            what = f"none of the {len(photos)} pictures tells its attitude" if photos else "a video tells no attitude"
            raise UserError(f"--attitude exif: {what} in its metadata; give --attitude none or a CSV file.")
        return found
    if told.lower() != "none":
        return attitudes_of_table(Path(told), [photo.path.name for photo in photos])
    return headings_of_photos(photos) if heading == "exif" else None


def open_frames(path: Path) -> FolderSource | VideoSource:
    """A folder of photographs, or a video file."""
    if path.is_dir():
        return FolderSource(path)
    if not path.exists():
        raise UserError(f"{path} does not exist; give --photos a folder of photographs or a video file.")
    if path.suffix.lower() in SUFFIXES:
        raise UserError(f"{path} is a single picture; give --photos the folder that holds it, or a video file.")
    return VideoSource(path)


def _refuse_absent(request: PhotosRequest, photos: Sequence[PhotoInfo]) -> None:
    """UserError where the pictures' metadata were asked for something that none of them holds."""
    asked = (
        ("--truth", request.truth, any(p.has_position for p in photos), "a CSV file"),
        ("--heading", request.heading, any(_tells_heading(p) for p in photos), "none or a number of degrees"),
        ("--height", request.height, any(_tells_height(p) for p in photos), "none or a number of metres"),
    )
    for option, told, there, instead in asked:
        if (told or "").strip().lower() == "exif" and not there:
            what = f"none of the {len(photos)} pictures says that" if photos else "a video does not say that"
            raise UserError(f"{option} exif: {what} in its metadata; give {option} {instead}.")


def _tells_heading(photo: PhotoInfo) -> bool:
    return photo.yaw_deg is not None or photo.camera.flight.yaw_deg is not None


def _tells_height(photo: PhotoInfo) -> bool:
    return photo.relative_altitude_m is not None or photo.altitude_amsl_m is not None


def _truth(
    request: PhotosRequest, frames: FolderSource | VideoSource
) -> tuple[Lookup, dict[int, TruePlace], frozenset[int] | None, list[str]]:
    """Lookup; places by frame index; of a video the numbers of the frames with truth, where known; notes."""
    told = (request.truth or "exif").strip()
    if told.lower() != "exif":
        order = ("name", "frame", "time") if isinstance(frames, FolderSource) else ("frame", "time", "name")
        table = read_truth_csv(Path(told), order)
        if isinstance(frames, FolderSource):
            if max(table.by_frame, default=0) >= len(frames):
                count = f"{told} names frame {max(table.by_frame)}, but {request.photos} holds {len(frames)} pictures"
                raise UserError(f"{count}; give the table of these pictures, with a column file for their names.")
            looked = {k: table.lookup()(k, p.path.name, frames.times_ns[k]) for k, p in enumerate(frames.photos)}
            places = {k: place for k, place in looked.items() if place is not None}
        else:
            places = dict(table.by_frame) or dict(enumerate(table.by_time or table.by_name.values()))
        if not places:
            raise UserError(f"no row of {told} belongs to a frame of {request.photos}; give the table of these frames.")
        numbers = frozenset(table.by_frame) if table.key == "frame" else None
        return table.lookup(), places, numbers, []
    if isinstance(frames, VideoSource):
        return (lambda _index, _name, _t_ns: None), {}, None, ["No truth was given: nothing is scored."]
    lookup = truth_of_photos(frames.photos)
    looked = {k: lookup(k, p.path.name, frames.times_ns[k]) for k, p in enumerate(frames.photos)}
    places = {k: place for k, place in looked.items() if place is not None}
    missing = len(looked) - len(places)
    note = f"{missing} of {len(looked)} pictures have no position in their metadata and are not scored."
    return lookup, places, None, [note] if missing else []


def _finest_kept(tiles: TileSource) -> int:
    """The finest level at which a map fits into a part of the cache: reading it is slow, and a search begins coarse."""
    x0, y0, x1, y1 = tiles.bounds_tiles()
    side_px = math.sqrt((x1 - x0) * (y1 - y0)) * TILE_PX
    return next((k for k in range(LEVEL_MAX) if 2 * (side_px / 2**k) ** 2 <= MAP_CACHE_BYTES / 4), LEVEL_MAX)


def map_notes(tiles: TileSource) -> list[str]:
    """What to know of a map that was read directly: bands, datum, row order."""
    return [f"Map: {note}." for note in getattr(tiles, "notes", ())]


def map_box_deg(mosaic: MapMosaic) -> tuple[float, float, float, float]:
    """South, west, north, east of the map's extent."""
    x0, y0, x1, y1 = mosaic.bounds_px(0)
    (north, west), (south, east) = geodetic_from_mercator_px(np.array([[x0, y0], [x1, y1]], dtype=float), mosaic.zoom)
    return float(south), float(west), float(north), float(east)


def _outside(places: Sequence[TruePlace], box: tuple[float, float, float, float]) -> list[str]:
    """A note where the truth says that frames were not taken over the map."""
    off = [d for place in places if (d := distance_to_box_m(place, box)) > 0.0]
    if not off:
        return []
    far = f"{min(off) / 1000.0:.0f} km" if min(off) >= 10_000.0 else f"{min(off):.0f} m"
    return [f"The map does not reach {len(off)} of the {len(places)} true positions; the nearest of them is {far} off."]


def _on_one_place(maps: Sequence[Path]) -> list[str]:
    """A note where maps lie over one another: what differs between their dates comes from the first alone."""
    if len(maps) < 2:
        return []
    boxes = [map_box_deg(MapMosaic(open_tile_source([path]))) for path in maps]
    notes = []
    for k, (south, west, north, east) in enumerate(boxes[1:], 1):
        under = [j for j, (s, w, n, e) in enumerate(boxes[:k]) if s < north and south < n and w < east and west < e]
        if under:
            notes.append(
                f"{maps[k].name} lies over the same place as {maps[under[0]].name} and only fills what that leaves "
                "empty; where they differ, give the newer one first."
            )
    return notes


def chosen_frames(prepared: PreparedPhotos) -> Iterator[Frame]:
    """All photographs; of a video the frames with truth, and between them one about every half second."""
    last_ns: int | None = None
    for frame in prepared.frames:
        if frame.index in prepared.others:
            continue
        due = last_ns is None or frame.t_ns - last_ns >= VIDEO_STEP_NS or isinstance(prepared.frames, FolderSource)
        if due or prepared.lookup(frame.index, frame.name, frame.t_ns) is not None:
            last_ns = frame.t_ns
            yield frame


def frame_count(prepared: PreparedPhotos) -> int | None:
    """How many frames `chosen_frames` will give, about; None where nobody knows."""
    if isinstance(prepared.frames, FolderSource):
        return len(prepared.frames)
    return len(prepared.truth_frames) if prepared.truth_frames is not None else None


class _Watched:
    """Passes frames on, notes which had truth, and keeps small pictures of them for the report."""

    def __init__(self, frames: Iterator[Frame], lookup: Lookup) -> None:
        self._frames, self._lookup = frames, lookup
        self.small: dict[int, bytes] = {}
        self.scored: list[FrameRecord] = []

    def __iter__(self) -> Iterator[Frame]:
        for frame in self._frames:
            if self._lookup(frame.index, frame.name, frame.t_ns) is not None:
                self.scored.append(FrameRecord(frame.t_ns, frame.index, frame.name))
            if len(self.small) < THUMBNAILS_KEPT:
                self.small[frame.index] = pictures.jpeg(pictures.readable(pictures.thumbnail(frame.image)))
            yield frame


def evaluate_photos(
    request: PhotosRequest, prepared: PreparedPhotos, command: str, progress: Callable[[int], None]
) -> Report:
    """Estimate, score and illustrate."""
    began, load = time.monotonic(), machine.load_average()
    watched = _Watched(chosen_frames(prepared), prepared.lookup)
    collector = Collector(prepared.lookup, progress)
    told = prepared.options
    with ExitStack() as closing:
        prepared, place = with_boresight(prepared, closing)
        options = prepared.options
        inputs = (watched, prepared.infos, prepared.mosaic, options, collector, prepared.config)
        in_flight_deg = run_photos(*inputs, place)
    collector.add_missed([*watched.scored, *_passed_over(prepared)])
    rows = collector.rows
    if not rows:
        raise UserError(f"{request.photos} gave no frame that could be used; look at the pictures or the video.")
    facts = RunFacts(
        wall_s=time.monotonic() - began,
        rss_peak_mb=machine.own_rss_peak_mb(),
        commit=machine.commit(),
        cores=machine.cores(),
        load_average=machine.load_over(load),
    )
    found_deg = (options.boresight.roll_deg, options.boresight.pitch_deg) if options.boresight else in_flight_deg
    result = figures([rows], facts, (request.photos.name,)) | photo_figures(rows, found_deg)
    if result["anchored"]:
        hint = found_otherwise((row.fix for row in rows), options.camera, prepared.infos, told)
        said = f"{hint} {verdict(result)[1]}" if hint else ""
    else:
        said = " ".join([_scale_hint(prepared) or NOTHING_ANCHORED, *prepared.notes])
    shown = _with_pictures(rows, watched.small, prepared, prepared.options.camera)
    notes = [*prepared.notes, *(f"{problem.rstrip('.')}." for problem in prepared.frames.problems)]
    part = FlightPart(
        title=request.photos.name,
        rows=shown,
        figures=result,
        local=prepared.options.local,
        background=pictures.background(prepared.mosaic, shown, PICTURE_MARGIN_M, MAP_WIDTH_PX),
        note=" ".join(notes),
        key={"photos": request.photos.name},
        above_ground=True,
    )
    named = configuration_facts(request.config_path)[SHA256][:SHORT]
    return Report(
        title=f"Photographs: {request.photos.name} on {', '.join(path.name for path in request.maps)}",
        figures=result,
        flights=[part],
        facts=[("command", command), ("configuration", named), ("took", f"{facts.wall_s:.0f} s")],
        verdict=said,
    )


def _scale_hint(prepared: PreparedPhotos) -> str:
    from gps_denied_operator.evaluate.photo_scale import scale_hint

    return scale_hint(chosen_frames(prepared), prepared.infos, prepared.mosaic, prepared.options, prepared.config)


def _passed_over(prepared: PreparedPhotos) -> list[FrameRecord]:
    """The pictures of other cameras, which count as not found."""
    frames = prepared.frames
    if not isinstance(frames, FolderSource):
        return []
    return [FrameRecord(frames.times_ns[k], k, frames.photos[k].path.name) for k in sorted(prepared.others)]


def with_boresight(prepared: PreparedPhotos, closing: ExitStack) -> tuple[PreparedPhotos, GridPlace | None]:
    """What is constant over the set, found from some of its pictures, where they come with attitudes; else as it is.
    And the place search that is then prepared; `closing` releases it."""
    options, frames = prepared.options, prepared.frames
    attitudes = options.attitudes
    if attitudes is None or not isinstance(frames, FolderSource):
        return prepared, None
    # With heights told the scale found tells the view, as far as it is not known.
    options = dataclasses.replace(options, fov_known=options.fov_known or _heights_told(prepared))
    prepared = dataclasses.replace(prepared, options=options)
    loaders = {k: partial(_loaded, frames, k) for k in range(len(frames)) if k not in prepared.others}
    finding = build_finding(prepared.mosaic, options, prepared.config, closing)
    matcher = build_finding(prepared.mosaic, options, _wide(prepared.config), closing, finding.place).matcher
    parts = (options.camera, finding.localiser, finding.place, matcher, prepared.config.pose)
    finder = BoresightFinder(*parts, heights=lambda k: told_height(options, prepared.infos[k]))
    found = finder.find(loaders, attitudes)
    if found is None:
        note = "Too few pictures were found by themselves to tell the camera's boresight; it is found on the way."
        return dataclasses.replace(prepared, notes=(*prepared.notes, note)), finding.place
    options = with_found_view(dataclasses.replace(options, boresight=found, attitudes=found.attitudes), found)
    note = (
        f"Boresight by {found.fixes} pictures: roll {found.roll_deg:.1f}, pitch {found.pitch_deg:.1f}, yaw "
        f"{-math.degrees(found.yaw_rad):.1f} degrees against the {found.attitudes.source.value}; field of view "
        f"{math.degrees(options.camera.fov_horizontal_rad):.1f} degrees."
    )
    notes = (*prepared.notes, *found.notes, note)
    return dataclasses.replace(prepared, options=options, notes=notes), finding.place


def _wide(config: Config) -> Config:
    """The configuration with the matching that BoresightFinder wants."""
    matching = config.matching
    wide = dataclasses.replace(matching, inlier_cells=WIDE * matching.inlier_cells, second_reach_cells=WIDE_REACH_CELLS)
    return dataclasses.replace(config, matching=wide)


def _heights_told(prepared: PreparedPhotos) -> bool:
    return prepared.options.height_m is not None or any(p.relative_altitude_m is not None for p in prepared.infos)


def _loaded(frames: FolderSource, index: int) -> Frame | None:
    """One picture of a folder; None where it cannot be decoded: the run will tell."""
    photo = frames.photos[index]
    try:
        return Frame(frames.times_ns[index], index, read_image(photo.path, grey=True), photo.path.name)
    except (OSError, ValueError, SyntaxError):
        return None


def _with_pictures(
    rows: Sequence[FrameResult], small: dict[int, bytes], prepared: PreparedPhotos, camera: CameraModel
) -> list[FrameResult]:
    out = list(rows)
    for i in pictures.worst_first(rows, WORST):
        pose = pictures.camera_pose(rows[i], prepared.options.local, camera)
        view = None if pose is None else pictures.map_view(prepared.mosaic, prepared.options.local, camera, pose)
        out[i] = dataclasses.replace(
            rows[i], frame_jpeg=small.get(rows[i].index), map_jpeg=None if view is None else pictures.jpeg(view)
        )
    return out
