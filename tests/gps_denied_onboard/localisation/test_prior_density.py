"""In a wide search around a state that is in doubt, places are as likely as the state and its doubt together say."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from gps_denied_onboard.localisation.evidence import prior_density
from gps_denied_onboard.localisation.localiser import Localiser
from gps_denied_onboard.localisation.matching.classic import ClassicMatcher
from gps_denied_onboard.localisation.matching.config import MatchingConfig
from gps_denied_onboard.localisation.matching.map_projector import MapProjector
from gps_denied_onboard.localisation.place_config import PlaceConfig
from gps_denied_onboard.localisation.place_search import GridPlace
from gps_denied_onboard.localisation.pose_config import PoseConfig
from gps_denied_onboard.messages import CameraPrior


def doubted(prior: CameraPrior, probability: float) -> CameraPrior:
    wide = np.diag([300.0**2, 300.0**2, 25.0])
    return replace(
        prior,
        covariance_enu_m2=wide,
        state_covariance_en_m2=prior.covariance_enu_m2[:2, :2],
        state_probability=probability,
    )


@pytest.mark.parametrize("probability", [0.2, 0.9])
def test_the_densities_are_one_distribution(painted_ground: Any, probability: float) -> None:
    """Averaged over the square of 3 sigma that is searched, a place is as likely as where all are held alike."""
    prior = doubted(painted_ground.prior(painted_ground.pose()), probability)
    cell = np.linspace(-900.0, 900.0, 361)
    density = [prior_density(np.array([east, north]), prior, 10.0) for east in cell for north in cell[::4]]
    assert np.mean(density) == pytest.approx(1.0, abs=0.03)


def test_without_doubt_places_are_alike(painted_ground: Any) -> None:
    """A prior that says nothing of the state changes nothing."""
    assert prior_density(np.array([500.0, 0.0]), painted_ground.prior(painted_ground.pose()), 10.0) == 1.0


def log_prior(ground: Any, prior: CameraPrior) -> float:
    mosaic = ground.mosaic()
    matcher = ClassicMatcher(MapProjector(mosaic, ground.local, ground.terrain, ground.camera), MatchingConfig())
    place = GridPlace(mosaic, ground.local, PlaceConfig())
    localiser = Localiser(ground.camera, place, matcher, ground.terrain, PoseConfig())
    return localiser.locate(ground.frame(ground.pose()), prior).gates["log_prior"]


def test_where_the_state_says_is_likelier_than_elsewhere(painted_ground: Any) -> None:
    """The same frame, found in a wide search: likelier where the state has it, less likely where it does not."""
    prior = painted_ground.prior(painted_ground.pose())
    off = replace(prior, position_enu_m=prior.position_enu_m + np.array([200.0, 150.0, 0.0]))
    alike = log_prior(painted_ground, replace(doubted(prior, 0.8), state_covariance_en_m2=None))
    assert log_prior(painted_ground, doubted(prior, 0.8)) > alike
    assert log_prior(painted_ground, doubted(off, 0.8)) < alike
