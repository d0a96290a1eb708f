"""Fixes on ground that is not as assumed are told of, bear it in their covariance, or rule the heights out."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from gps_denied_onboard.geometry.geodesy import LocalFrame
from gps_denied_onboard.geometry.raster_terrain import RasterTerrain
from gps_denied_onboard.geometry.rotations import exp_rotation, nadir_camera_to_enu
from gps_denied_onboard.geometry.terrain import FlatTerrain
from gps_denied_onboard.integrity.ground_watch import FAILED_BEFORE_PROBE, LOOKED_AT, PROBES_WANTED, GroundWatch
from gps_denied_onboard.messages import (
    CameraPrior,
    Estimate,
    OdometryStatus,
    OdometryStep,
    PoseFix,
    RejectReason,
    TakeoffOrigin,
)
from tests.gps_denied_onboard.geometry.hills import hill, hill_grid

LOCAL = LocalFrame(48.0, 37.0, 150.0)
UP_M = 500.0


def estimate(k: int, up_m: float = UP_M) -> Estimate:
    """The state at second `k`, 17 m further east each, sure of its height to 4 m and of its tilt to 1 degree."""
    covariance = np.diag([25.0, 25.0, 16.0, 1.0, 1.0, 1.0, 1e-4, 1e-4, 1e-3])
    position = np.array([17.0 * k, 0.0, up_m])
    camera = nadir_camera_to_enu(0.3)
    return Estimate(
        k * 10**9, position, np.array([17.0, 0.0, 0.0]), camera, np.eye(3), covariance, np.diag([3e-4, 3e-4, 1e-3]),
        np.zeros(3), True, travelled_enu_m=position,
    )  # fmt: skip


def fix(k: int, off_m: float = 0.0, tilt_rad: float = 0.0, reason: RejectReason = RejectReason.NONE) -> PoseFix:
    """The fix of second `k`, wrong in height and tilt."""
    rotation = exp_rotation(np.array([tilt_rad, 0.0, 0.0])) @ nadir_camera_to_enu(0.3)
    covariance = np.diag([400.0, 400.0, 9.0, 0.035**2, 0.035**2, 1e-4])
    position = np.array([17.0 * k, 0.0, UP_M + off_m])
    return PoseFix(
        k * 10**9, reason is RejectReason.NONE, reason, position, rotation, covariance, 60, 80, 1.0, False,
        wrong_probability=1e-9,
    )  # fmt: skip


def flat(sigma_m: float) -> GroundWatch:
    return GroundWatch(FlatTerrain(LOCAL, 150.0, sigma_m))


def test_fixes_over_level_ground_stay_as_they_are() -> None:
    """Known to 8 m, with chance disagreements, not a bit of a fix changes, and nothing is told."""
    watch, rng = flat(8.0), np.random.default_rng(4)
    for k in range(60):
        told = fix(k, float(rng.normal(0.0, 9.0)), float(rng.normal(0.0, 0.03)))
        assert watch.on_fix(told, estimate(k)) is told
        watch.on_used(told)
        assert watch.off_level(estimate(k)) is None
    assert watch.take() == []
    assert watch.relief_sigma_m(np.zeros(3)) == 0.0


def test_ground_that_is_hardly_known_makes_fixes_unsure() -> None:
    """With 40 m of sigma a fix may be turned by 0.11 rad about the ground that it sees, 500 m away, and more so up."""
    honest = flat(40.0).on_fix(fix(0), estimate(0)).covariance
    slope = math.sqrt(honest[3, 3])
    assert slope == pytest.approx(40.0 / 350.0, rel=0.1)
    assert math.sqrt(honest[1, 1]) == pytest.approx(math.hypot(20.0, slope * UP_M), rel=0.15)
    assert math.sqrt(honest[2, 2]) > 35.0
    assert np.linalg.eigvalsh(honest)[0] > 0.0


def on_the_way(watch: GroundWatch, seconds: range, hills_m: float) -> float:
    """Sigma across the track, in metres, of the last of these fixes; hills rise and fall by so much every 700 m."""
    told = fix(0)
    for k in seconds:
        told = watch.on_fix(fix(k, hills_m * math.sin(2.0 * math.pi * 17.0 * k / 700.0)), estimate(k))
    return math.sqrt(told.covariance[1, 1])


def test_ground_that_shows_to_be_level_is_believed_more() -> None:
    """Told 20 m, fixes of 2.5 km that agree in height and tilt become as sure as over level ground, nearly; the first
    one after 20 km of silence is in doubt again."""
    told_m = math.sqrt(flat(20.0).on_fix(fix(0), estimate(0)).covariance[1, 1])
    level_m = math.sqrt(flat(5.0).on_fix(fix(0), estimate(0)).covariance[1, 1])
    watch = flat(20.0)
    first_m, last_m = on_the_way(watch, range(1), 0.0), on_the_way(watch, range(1, 150), 0.0)
    assert first_m == told_m
    assert level_m <= last_m < level_m + 0.2 * (told_m - level_m)
    again = watch.on_fix(fix(1350), estimate(1350))
    assert math.sqrt(again.covariance[1, 1]) > 0.8 * told_m


def test_ground_that_shows_its_hills_stays_doubted() -> None:
    """Told 20 m, hills of as much leave a fix as unsure as it was."""
    told_m = math.sqrt(flat(20.0).on_fix(fix(0), estimate(0)).covariance[1, 1])
    assert on_the_way(flat(20.0), range(150), 28.0) > 0.9 * told_m


def test_fixes_on_heights_say_nothing_of_the_flat_model() -> None:
    """Fixes of 2.5 km that agree with the heights on board are of hills: once those are not believed any more, the
    flat ground is as unsure as it was told."""
    terrain = RasterTerrain(LOCAL, hill_grid(LOCAL), FlatTerrain(LOCAL, 150.0, 20.0))
    fresh, flown = GroundWatch(terrain), GroundWatch(terrain)
    on_the_way(flown, range(150), 0.0)
    for watch in (fresh, flown):
        assert watch.believed
        watch.on_origin(TakeoffOrigin(0, 48.0, 37.0, 0.0, 5.0, 5.0), np.array([0.0, 0.0, -150.0]))
        assert not watch.believed
    assert flown.relief_sigma_m(np.zeros(3)) == fresh.relief_sigma_m(np.zeros(3)) > 15.0


def test_hills_that_nobody_told_of_are_seen() -> None:
    """With a sigma of 5 m told, fixes that are 30 m too low three times make the ground count as hilly by itself."""
    watch = flat(5.0)
    sigmas = [math.sqrt(watch.on_fix(fix(k, -30.0), estimate(k)).covariance[1, 1]) for k in range(4)]
    assert sigmas[-1] > 40.0
    assert watch.relief_sigma_m(np.zeros(3)) > 25.0


def test_fixes_that_are_refused_for_their_height_tell_of_hills() -> None:
    """Three sure places at a height that the flat model cannot have open the heights that are searched."""
    watch = flat(5.0)
    for k in range(3):
        told = fix(k, 60.0, reason=RejectReason.HEIGHT)
        assert watch.on_fix(told, estimate(k)) is told
    level = watch.off_level(estimate(3))
    assert level is not None
    assert level[1] > 50.0


def test_over_hills_the_last_used_fix_tells_the_height_above_ground() -> None:
    """What a fix found counts, less and less surely on the way from there."""
    watch = flat(40.0)
    used = fix(0, 35.0)
    watch.on_fix(used, estimate(0))
    watch.on_used(used)
    near, far = watch.off_level(estimate(0)), watch.off_level(estimate(10))
    assert near is not None
    assert far is not None
    assert near[0] == far[0] == pytest.approx(35.0)
    assert near[1] < 7.0 < 18.0 < far[1]


@pytest.mark.parametrize(("offset_m", "factor"), [(45.0, 1.0), (0.0, 3.28084 * 0.6)])
def test_wrong_heights_are_found_out(offset_m: float, factor: float) -> None:
    """A wrong datum, and heights in another unit: after eight fixes they are told of and flat ground counts."""
    terrain = hill(LOCAL, offset_m, factor)
    watch = GroundWatch(terrain)
    told = []
    for k in range(LOOKED_AT):
        off_m = terrain.up_m(np.array([17.0 * k, 0.0])) - hill(LOCAL).up_m(np.array([17.0 * k, 0.0]))
        assert watch.believed
        watch.on_fix(fix(k, off_m), estimate(k))
        told += watch.take()
    assert not watch.believed
    assert [alert.text.split(":")[0] for alert in told] == ["heights on board are wrong, the ground counts as flat"]
    assert watch.ground is terrain.flat
    assert watch.looks_flat(10**10, estimate(10))


def test_right_heights_are_kept() -> None:
    """Fixes that scatter as the sigmas say leave the heights believed."""
    watch, rng = GroundWatch(hill(LOCAL)), np.random.default_rng(5)
    for k in range(60):
        watch.on_fix(fix(k, float(rng.normal(0.0, 6.0))), estimate(k))
        assert not watch.looks_flat(k * 10**9 + 1, estimate(k))
    assert watch.believed
    assert watch.take() == []


@pytest.mark.parametrize(("way_m", "times"), [(17.0, 28.0), (5000.0, 0.0)])
def test_fixes_near_together_share_the_slope_of_the_heights(way_m: float, times: float) -> None:
    """The heights' error in slope is alike over 250 m: after 17 m it counts 28 times more in a fix, after 5 km not."""
    terrain = hill(LOCAL)
    watch = GroundWatch(terrain)
    alone = fix(0)
    assert watch.on_fix(alone, estimate(0)) is alone
    after = replace(estimate(1), travelled_enu_m=np.array([way_m, 0.0, UP_M]))
    more_rad2 = watch.on_fix(fix(1), after).covariance[3:5, 3:5] - alone.covariance[3:5, 3:5]
    np.testing.assert_allclose(more_rad2, np.eye(2) * times * terrain.slope_sigma_rad**2, rtol=0.02, atol=1e-9)


def prior(k: int, state: Estimate) -> CameraPrior:
    """What the search of second `k` is told: 500 m over the ground to 8 m, the place hardly."""
    return CameraPrior(
        k * 10**9, state.position_enu_m, np.eye(3) * 300.0**2, nadir_camera_to_enu(0.3), 0.02, 0.02, 500.0, 8.0, True,
    )  # fmt: skip


def test_heights_are_open_while_nothing_is_found() -> None:
    """After three good pictures in vain each other one is looked for at other heights, ever further, at the place that
    the fusion claims; a dark picture does not count, and where a fix told the height nothing opens."""
    watch = flat(8.0)
    opened = []
    for k in range(8):
        told = watch.opened(prior(k, estimate(k)), estimate(k))
        opened.append(told.height_sigma_m)
        if told.height_sigma_m > 8.0:
            assert told.horizontal_sigma_m == pytest.approx(5.0)
            assert told.place_probability < 1.0
        reason = RejectReason.NO_TEXTURE if k == 0 else RejectReason.UNSURE
        watch.on_fix(replace(fix(k, reason=reason), wrong_probability=1.0), estimate(k))
    assert opened == pytest.approx([8.0] * 4 + [60.0, 8.0, 78.0, 8.0])
    for k in range(8, 60):
        opened.append(watch.opened(prior(k, estimate(k)), estimate(k)).height_sigma_m)
        watch.on_fix(replace(fix(k, reason=RejectReason.UNSURE), wrong_probability=1.0), estimate(k))
    assert 5 <= np.count_nonzero(np.array(opened[-40:]) > 8.0) <= 14  # it may be the place after all
    watch.on_fix(fix(60), estimate(60))
    for k in range(61, 70):
        assert watch.opened(prior(k, estimate(k)), estimate(k)).height_sigma_m == 8.0
        watch.on_fix(fix(k, reason=RejectReason.UNSURE), estimate(k))


def test_a_promising_height_is_looked_at_again() -> None:
    """A place that is nearly sure at another height is looked for there with the very next picture."""
    watch = flat(8.0)
    for k in range(4):
        watch.opened(prior(k, estimate(k)), estimate(k))
        watch.on_fix(replace(fix(k, 120.0, reason=RejectReason.UNSURE), wrong_probability=1e-3), estimate(k))
    told = watch.opened(prior(4, estimate(4)), estimate(4))
    assert (told.height_m, told.height_sigma_m) == (pytest.approx(UP_M + 120.0, abs=0.1), pytest.approx(24.8, abs=0.1))


@pytest.mark.parametrize("off_m", [120.0, -120.0])
def test_ground_at_another_altitude_is_told_and_flown_over(off_m: float) -> None:
    """Fixes off by one height all along 250 m move the level: one alert with the difference, fixes where the barometer
    has them, hardly less sure than over known ground, and the height above ground is right."""
    watch, rng = flat(8.0), np.random.default_rng(3)
    told, last = [], fix(0)
    for k in range(40):
        last = watch.on_fix(fix(k, off_m + float(rng.normal(0.0, 4.0))), estimate(k))
        watch.on_used(last)
        told += watch.take()
    assert len(told) == 1
    words = told[0].text.split()
    assert (float(words[3]), words[5]) == (pytest.approx(abs(off_m), abs=4.0), "lower" if off_m > 0.0 else "higher")
    assert abs(last.position_enu_m[2] - UP_M) < 15.0
    assert math.sqrt(last.covariance[0, 0]) < 30.0
    level = watch.off_level(estimate(40))
    assert level is not None
    assert level[0] == pytest.approx(off_m, abs=5.0)


def test_a_ridge_is_no_level() -> None:
    """Heights that come and go by 80 m over some hundred metres are hills, and stay in each fix's covariance; that they
    are more than was told is told once."""
    watch, known = flat(5.0), flat(60.0)
    for k in range(80):
        for told in (watch, known):
            told.on_fix(fix(k, 80.0 * math.sin(17.0 * k / 100.0)), estimate(k))
    assert [alert.text.partition(":")[0] for alert in watch.take()] == ["the ground is more uneven than told"]
    assert known.take() == []
    assert math.sqrt(watch.on_fix(fix(80, 60.0), estimate(80)).covariance[1, 1]) > 60.0


def test_no_aircraft_flies_under_the_ground() -> None:
    """A start, and a state, far below the ground that the heights have rule these out at once."""
    origin = TakeoffOrigin(0, 48.0, 37.0, 170.0, 5.0, 5.0)
    for below in (True, False):
        watch = GroundWatch(hill(LOCAL, 300.0))
        if below:
            watch.looks_flat(0, estimate(0, 100.0))
        else:
            watch.on_origin(origin, np.array([0.0, 0.0, 20.0]))
        assert not watch.believed
        assert "under the ground" in watch.take()[0].text


def after_probes(wrong_on_heights: float) -> tuple[GroundWatch, list[int]]:
    """The watch after frames that are found on flat ground alone, refused on the heights on board with that probability
    of being wrong; and which were tried on flat ground."""
    watch = GroundWatch(hill(LOCAL, 100.0))
    flat_frames: list[int] = []
    for k in range(FAILED_BEFORE_PROBE + 2 * PROBES_WANTED - 1):
        on_flat = watch.looks_flat(k * 10**9, estimate(k))
        flat_frames += [k] * on_flat
        refused = replace(fix(k, reason=RejectReason.UNSURE), wrong_probability=wrong_on_heights)
        watch.on_fix(fix(k) if on_flat else refused, estimate(k))
    return watch, flat_frames


def test_frames_that_are_not_found_are_tried_on_flat_ground() -> None:
    """After some failures each other frame is looked for on flat ground; found only there, the heights go."""
    watch, flat_frames = after_probes(wrong_on_heights=0.5)
    assert flat_frames == [FAILED_BEFORE_PROBE + 2 * number for number in range(PROBES_WANTED)]
    assert not watch.believed
    (alert,) = watch.take()
    assert "flat ground only" in alert.text
    assert (alert.t_ns, alert.always) == (flat_frames[-1] * 10**9, True)


def test_a_frame_that_is_found_on_the_heights_speaks_for_them() -> None:
    """It begins the count anew, of those that were not found and of those that were found on flat ground."""
    watch = GroundWatch(hill(LOCAL))
    for k in range(8 * FAILED_BEFORE_PROBE):
        assert not watch.looks_flat(k * 10**9, estimate(k))
        found = k % FAILED_BEFORE_PROBE == FAILED_BEFORE_PROBE - 1
        watch.on_fix(fix(k, reason=RejectReason.NONE if found else RejectReason.UNSURE), estimate(k))
    assert watch.believed


def test_frames_that_were_nearly_found_keep_the_heights() -> None:
    """A place that is right with 99.9 % on the heights on board, only not sure enough, is none that flat ground alone
    shows: probes go on, the heights stay."""
    watch, flat_frames = after_probes(wrong_on_heights=1e-3)
    assert len(flat_frames) >= PROBES_WANTED
    assert watch.believed
    assert watch.take() == []


def test_a_dark_picture_says_nothing_of_the_ground() -> None:
    """Frames without texture or map are no failures of the heights."""
    watch = GroundWatch(hill(LOCAL))
    for k in range(20):
        watch.on_fix(fix(k, reason=RejectReason.NO_TEXTURE), estimate(k))
        assert not watch.looks_flat(k * 10**9, estimate(k))


def test_a_hole_is_told_of_once() -> None:
    """Over posts without heights the ground counts as flat: one notice on the way in, and an unsure fix."""
    grid = hill_grid(LOCAL)
    heights = grid.heights_amsl_m.copy()
    heights[:, 150:220] = np.nan
    watch = GroundWatch(RasterTerrain(LOCAL, replace(grid, heights_amsl_m=heights), FlatTerrain(LOCAL, 150.0, 30.0)))
    for k in range(5):
        watch.looks_flat(k, estimate(k))
    assert [alert.text for alert in watch.take()] == ["no heights on board here: the ground counts as flat"]
    assert math.sqrt(watch.on_fix(fix(0), estimate(0)).covariance[1, 1]) > 40.0


def test_steps_over_hills_that_nobody_knows_are_less_sure() -> None:
    """Over level ground a step stays as it is; over 40 m of relief, 350 m below, 17 m of way are good to 4 m."""
    covariance = np.diag([0.04, 0.04, 0.1, 1e-6])
    step = OdometryStep(
        0,
        10**9,
        OdometryStatus.OK,
        "",
        np.array([17.0, 0.0, 0.0]),
        0.0,
        0.0,
        covariance,
        1.0,
        200,
        180,
        0.3,
        350.0,
        8.0,
    )
    assert flat(8.0).on_step(step, estimate(1)) is step
    assert GroundWatch(hill(LOCAL)).on_step(step, estimate(1)) is step
    assert flat(40.0).on_step(step, None) is step
    assert math.sqrt(flat(40.0).on_step(step, estimate(1)).covariance[0, 0]) == pytest.approx(3.7, abs=0.3)
