"""A camera that hands on pictures that are not new: repeated, torn, swapped, late or damaged, as the schedule says."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from gps_denied_onboard.messages import ImageArray
from gps_denied_sim.noise import stream
from gps_denied_sim.schedule import Scenario

ENCODED_ANEW_QUALITY = 85
DAMAGED_BYTES = 400


@dataclass(frozen=True, slots=True)
class PicturePlan:
    """What stands in one picture's file.

    It shows the ground as of `exposed_s` with the noise of `noise_index`; or it repeats the file `copy_of`, its bytes
    or `anew` encoded. `torn_at` 0..1: below that share of the height it still shows the picture before. `damaged`:
    some bytes in the middle are lost.
    """

    exposed_s: float
    noise_index: int
    copy_of: int | None = None
    anew: bool = False
    torn_at: float = 1.0
    damaged: bool = False


def picture_plans(scenario: Scenario, times_s: Sequence[float], seed: int) -> list[PicturePlan]:
    """One plan for each picture, stamped `times_s`."""
    plans = [PicturePlan(t_s, k) for k, t_s in enumerate(times_s)]
    for event in scenario.events:
        held = [k for k, t_s in enumerate(times_s) if event.start_s <= t_s < event.end_s and k > 0]
        for n, k in enumerate(held):
            if event.kind == "camera_freeze":
                plans[k] = replace(plans[k], copy_of=held[0] - 1, anew=event.value > 0.0)
            elif event.kind == "camera_stutter" and n % 2:
                plans[k] = replace(plans[k], copy_of=k - 1)
            elif event.kind == "camera_torn":
                at = float(stream(seed, "torn", k).uniform(0.3, 0.7))
                plans[k] = replace(plans[k], torn_at=at)
            elif event.kind == "camera_swap" and (n % 2 or n + 1 < len(held)):
                other = k - 1 if n % 2 else k + 1
                plans[k] = PicturePlan(times_s[other], other)
            elif event.kind == "camera_delay":
                plans[k] = replace(plans[k], exposed_s=max(times_s[k] - event.value, 0.0))
            elif event.kind == "camera_broken":
                plans[k] = replace(plans[k], damaged=float(stream(seed, "damaged", k).random()) < event.value)
    return plans


def picture_files(
    plans: Sequence[PicturePlan], expose: Callable[[float, int], ImageArray], quality: int, seed: int
) -> Iterator[bytes]:
    """The JPEG files of all pictures, in order. `expose` takes a time and a noise index."""
    first_copies = {plan.copy_of for plan in plans if plan.copy_of is not None}
    kept: dict[int, bytes] = {}
    before: ImageArray | None = None
    for k, plan in enumerate(plans):
        if plan.copy_of is not None:
            data = kept[plan.copy_of]
            if plan.anew:
                data = _encoded(_decoded(data), ENCODED_ANEW_QUALITY + k % 5)
        else:
            image = expose(plan.exposed_s, plan.noise_index)
            shown = image
            if before is not None and plan.torn_at < 1.0:
                row = round(plan.torn_at * len(image))
                shown = np.concatenate([image[:row], before[row:]])
            before = image
            data = _encoded(shown, quality)
        if plan.damaged:
            data = _damaged(data, stream(seed, "damage", k))
        if k in first_copies:
            kept[k] = data
        yield data


def _encoded(image: ImageArray, quality: int) -> bytes:
    import cv2

    done, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert done
    return data.tobytes()


def _decoded(data: bytes) -> ImageArray:
    import cv2

    image = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    return np.asarray(image, dtype=np.uint8)


def _damaged(data: bytes, rng: np.random.Generator) -> bytes:
    """The file with a run of bytes gone: cut short, or with a hole, as a bad link leaves it."""
    at = int(rng.integers(len(data) // 5, 4 * len(data) // 5))
    return data[:at] if rng.random() < 0.5 else data[:at] + data[at + DAMAGED_BYTES :]
