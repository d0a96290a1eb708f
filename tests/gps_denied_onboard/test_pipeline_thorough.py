"""How much is spent on a frame that may be anywhere on the map."""

from __future__ import annotations

from collections.abc import Callable

from gps_denied_onboard.messages import Frame, TakeoffOrigin, Telemetry
from gps_denied_onboard.pipeline import Pipeline


def test_one_frame_in_four_is_searched_thoroughly(
    new_pipeline: Callable[[], Pipeline], short_flight: list[Frame | Telemetry]
) -> None:
    """Without a place, three frames get the short search and the fourth the long one; with a place there is but one."""
    for known in (False, True):
        pipeline, thorough = new_pipeline(), []
        for message in short_flight:
            if isinstance(message, Frame):
                pipeline.on_frame(message)
                job = pipeline.take_job()
                assert job is not None
                assert job.prior.position_known == known
                thorough.append(job.thorough)
            elif known or not isinstance(message, TakeoffOrigin):
                pipeline.on_telemetry(message)
        assert thorough[:8] == ([True] * 8 if known else [False, False, False, True] * 2)
